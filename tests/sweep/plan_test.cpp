// The points of a sweep: their ids, what changes them, and what a run's schema says against them.
#include "sweep/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "launch/run_config.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/sweep_files.h"

namespace herd::sweep {
namespace {

using testing::HasSubstr;

ConfigNode resolve(const ConfigNode& tree) { return resolve_tree(tree).tree; }

class PlanTest : public testing::Test {
 protected:
  Plan plan(const std::string& text, const std::string& recipe = "model: {path: m}\ndata: {sets: [a.json]}\n") {
    write_file_atomically(scratch_ / "base.yaml", recipe);
    write_file_atomically(scratch_ / "sweep.yaml", text);
    file_ = read_sweep(scratch_ / "sweep.yaml", {"recipe=base"});
    return Plan(file_, resolve);
  }
  std::vector<std::string> ids(const std::string& text, const std::string& recipe = "model: {path: m}\ndata: {sets: [a.json]}\n") {
    std::vector<std::string> out;
    const auto all = plan(text, recipe);
    for (const auto& point : all.points()) out.push_back(point.id);
    return out;
  }
  std::string refused(const std::string& text) {
    auto message = test::message_of<ConfigError>([&] { plan(text); });
    const auto name = (scratch_ / "sweep.yaml").string();
    EXPECT_EQ(message.find(name), 0u) << message;
    return message.substr(std::min(name.size(), message.size()));
  }

  test::Scratch scratch_;
  SweepFile file_;
};

TEST_F(PlanTest, AnIdIsThatOfTheResolvedConfig) {
  const auto first = ids("parameters: {train.learning_rate: [1e-4, 2e-4]}\n");
  ASSERT_EQ(first.size(), 2u);
  EXPECT_NE(first[0], first[1]);
  EXPECT_EQ(ids("parameters: {train.learning_rate: [2e-4, 0.0001, 3e-4]}\n")[1], first[0]) << "however it is written, wherever it stands";
  EXPECT_EQ(ids("set: {run.log_every: 3, model.threads: 2, checkpoint.keep: 9}\nparameters: {train.learning_rate: [1e-4, 2e-4]}\n"), first) << "what changes no result";
  EXPECT_NE(ids("set: {train.epochs: 4}\nparameters: {train.learning_rate: [1e-4, 2e-4]}\n")[0], first[0]);
  EXPECT_NE(ids("parameters: {train.learning_rate: [1e-4, 2e-4]}\n", "model: {path: m}\ndata: {sets: [b.json]}\n")[0], first[0]) << "a changed recipe";
}

TEST_F(PlanTest, EqualPointsAreOne) {
  const auto p = plan("parameters: {train.learning_rate: [1e-4, 0.0001, 2e-4]}\n");
  EXPECT_EQ(p.points().size(), 2u);
  EXPECT_EQ(p.same(), 1u);
}

TEST_F(PlanTest, RepeatsDifferInTheirSeedsAlone) {
  const auto p = plan("set: {train.seed: 10}\nrepeats: 3\nparameters: {train.learning_rate: [1e-4, 2e-4]}\n");
  ASSERT_EQ(p.points().size(), 6u);
  const auto config = p.config(p.points()[5], "somewhere");
  EXPECT_EQ(config.at_path("train.seed")->text, "12");
  EXPECT_EQ(config.at_path("data.seed")->text, "2");
  EXPECT_EQ(config.at_path("data.split_seed")->text, "0");
  EXPECT_EQ(config.at_path("train.learning_rate")->text, "0.0002");
  EXPECT_EQ(config.at_path("run.folder")->text, "somewhere");
  EXPECT_EQ(p.title(p.points()[5]), "learning_rate=0.0002, repeat 3");
}

TEST_F(PlanTest, APointsConfigIsARecipeOfTheSameRun) {
  const auto p = plan("parameters: {peft.method: [lora], peft.r: [4], data.sets: [[{name: b.json, weight: 0.5}]]}\n");
  write_file_atomically(scratch_ / "point.yaml", to_yaml(p.config(p.points()[0], "x"), true));
  const auto again = resolve_run({.file = scratch_ / "point.yaml", .overrides = {}});
  EXPECT_EQ(point_id(again.tree), p.points()[0].id);
  EXPECT_EQ(again.config.peft.r, 4);
}

TEST_F(PlanTest, AshaRunsEveryPointByTheScheduleOfTheWhole) {
  const auto p = plan("method: asha\npoints: 3\nasha: {least: 100, most: 800, factor: 2}\nparameters: {train.learning_rate: {low: 1e-5, high: 1e-3, scale: log}}\n");
  EXPECT_EQ(p.config(p.points()[0], "x").at_path("train.max_steps")->text, "800");
  EXPECT_THAT(refused("method: asha\npoints: 3\nasha: {least: 100, most: 800}\nparameters: {train.max_steps: [1]}\n"), testing::AllOf(testing::StartsWith(":4:14: "), HasSubstr("does not set itself")));
}

TEST_F(PlanTest, WhatTheSchemaRefusesIsToldAtTheSweepsPlace) {
  EXPECT_THAT(refused("parameters:\n  train.lerning_rate: [1]\n"), testing::AllOf(testing::StartsWith(":2:3: "), HasSubstr("did you mean 'train.learning_rate'?")));
  EXPECT_THAT(refused("parameters:\n  peft.method: [lora]\n  peft.r: [4, -1]\n"), testing::AllOf(testing::StartsWith(":3:15: "), HasSubstr("'peft.r' is '-1'")));
  EXPECT_THAT(refused("set: {train: {epochs: many}}\nparameters: {peft.method: [lora]}\n"), testing::AllOf(testing::StartsWith(":1:23: "), HasSubstr("'train.epochs' is 'many'")));
  EXPECT_THAT(refused("parameters:\n  peft.method: [lora, ia3]\n  peft.r: [4]\n"), testing::AllOf(testing::StartsWith(":3:12: "), HasSubstr("peft.r=4 where peft.method is ia3")));
  EXPECT_THAT(refused("parameters:\n  train.patience: [0, 2]\n"), testing::AllOf(testing::StartsWith(":2:23: "), HasSubstr("'train.patience' is 2")));
  EXPECT_THAT(refused("parameters:\n  model.device: [cuda]\n  run.name: [a]\n"), testing::StartsWith(":3:3: "));
  EXPECT_THAT(refused("repeats: 2\nparameters: {train.seed: [1, 2]}\n"), testing::StartsWith(":2:14: "));
  EXPECT_THAT(refused("repeats: 2\nseed_keys: [train.sed]\n"), testing::AllOf(testing::StartsWith(":2:12: "), HasSubstr("train.sed")));
  EXPECT_THAT(refused("parameters: {}\n"), HasSubstr("no parameters"));
  // Here the recipe says the value that one point cannot have.
  write_file_atomically(scratch_ / "own.yaml", "peft: {method: lora, r: 16}\n");
  write_file_atomically(scratch_ / "sweep.yaml", "recipe: own\nparameters:\n  peft.method: [lora, ia3]\n");
  const auto message = test::message_of<ConfigError>([&] { Plan(read_sweep(scratch_ / "sweep.yaml", {}), resolve); });
  EXPECT_THAT(message, testing::AllOf(HasSubstr("sweep.yaml:3:23: "), HasSubstr("method=ia3"), HasSubstr("own.yaml:1:25: ")));
  EXPECT_THAT(test::message_of<ConfigError>([&] { Plan(read_sweep(scratch_ / "sweep.yaml", {"recipe=none"}), resolve); }), HasSubstr("which is no file"));
}

TEST_F(PlanTest, ThousandsOfPointsTakeSeconds) {
  const auto began = std::chrono::steady_clock::now();
  const auto p = plan("method: random\npoints: 5000\nparameters: {train.learning_rate: {low: 1e-5, high: 1e-3, scale: log}, train.weight_decay: {low: 0, high: 0.1}}\n");
  std::set<std::string> ids;
  for (const auto& point : p.points()) ids.insert(point.id);
  EXPECT_EQ(ids.size(), 5000u);
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(), 20) << "some 3 s on two idle cores";
}

TEST(Sweeps, EveryExampleIsPlanned) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(test::source_dir() / "configs" / "sweeps")) {
    if (!entry.is_regular_file()) continue;
    const auto file = read_sweep(entry.path(), {});
    const Plan plan(file, [](const ConfigNode& tree) {
      const auto run = resolve_tree(tree);
      run.require_trainable();
      return run.tree;
    });
    EXPECT_GT(plan.points().size(), 1u) << entry.path();
    EXPECT_EQ(plan.same(), 0u) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 2);
}

}  // namespace
}  // namespace herd::sweep
