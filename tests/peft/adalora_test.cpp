// AdaLoRA's course: the regulariser against differences, the same ranks on any number of ranks, a continuation bit for bit, what its folder keeps.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "peft/step_rule.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"
#include "train/resume.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

constexpr std::int64_t kSteps = 12, kRows = 6;
constexpr double kDifference = 1e-6;  // central differences with h = 1e-5 in fp64

PeftOptions options() {
  PeftOptions o{.method = "adalora", .init_r = 4, .target_r = 2, .tinit = 2, .tfinal = 3};
  o.target_modules = {{"q_proj", "v_proj", "down_proj"}, false};
  return o;
}

/// A course on one of a job's ranks, a step at a time.
class Course {
 public:
  Course(Communicator& communicator, const std::string& strategy, std::int64_t micro_batch_size, at::ScalarType dtype = at::kDouble)
      : communicator_(communicator), micro_batch_size_(micro_batch_size), examples_(toy_examples(kSteps * kRows)),
        batches_(examples_, {.global_batch_size = kRows, .max_tokens = 30}, 0), model(toy_model(5, {}, dtype)) {
    attach(*model, options(), 3);
    strategy_ = strategies().at(strategy).make({*model, communicator, {}, 0});
    optimizer.emplace(strategy_->slices(), TrainOptions{});
    rule = peft_methods().at("adalora").make_rule(*model, options(), strategy_->slices(), kSteps);
  }

  void step(std::int64_t step) {
    const auto micro = batches_.micro_batches(step, communicator_.rank(), communicator_.size(), micro_batch_size_);
    for (std::size_t i = 0; i < micro.size(); ++i)
      strategy_->forward_backward(micro[i], 1.0 / static_cast<double>(batches_.rows(step).supervised_tokens), i + 1 == micro.size());
    strategy_->finish_gradients();
    strategy_->with_whole_parameters(false, [&] { rule->add_to_gradients(strategy_->slices(), 1); });
    optimizer->step(0.02);
    rule->updated(strategy_->slices(), step + 1, [&](Tensor& x) { strategy_->sum_over_parts(x); });
    optimizer->change_values([&](const Slice& slice, const Tensor& value) { rule->restrict(slice, value); });
    strategy_->values_changed();
  }
  void with_whole(const std::function<void()>& f) { strategy_->with_whole_parameters(true, f); }

 private:
  Communicator& communicator_;
  std::int64_t micro_batch_size_;
  std::vector<Example> examples_;
  Batches batches_;

 public:
  std::unique_ptr<CausalLm> model;

 private:
  std::unique_ptr<Strategy> strategy_;

 public:
  std::optional<AdamW> optimizer;
  std::unique_ptr<StepRule> rule;
};

std::vector<Tensor> values_of(CausalLm& model) {
  std::vector<Tensor> out;
  for (const auto* p : trained_parameters(model)) out.push_back(p->value.detach().clone());
  return out;
}

std::int64_t kept_in(const std::string& state) {
  std::int64_t kept = 0;
  const auto json = nlohmann::json::parse(state);
  for (const auto& [layer, ranks] : json.at("kept").items())
    for (const bool rank : ranks) kept += rank;
  return kept;
}

// All ranks' states, a step after the other, and what is trained in the end.
struct Told {
  std::vector<std::string> states;
  std::vector<Tensor> values;
};

Told told_by(int ranks, const std::string& strategy, std::int64_t micro_batch_size) {
  Told told;
  run_threads(ranks, [&](Communicator& c) {
    at::set_num_threads(1);
    Course course(c, strategy, micro_batch_size);
    std::vector<std::string> states;
    for (std::int64_t step = 0; step < kSteps; ++step) {
      course.step(step);
      states.push_back(course.rule->state());
    }
    course.with_whole([&] {
      if (c.rank() == 0) told = {states, values_of(*course.model)};
    });
  });
  return told;
}

TEST(AdaLora, KeepsTheSameRanksOnAnyNumberOfRanks) {
  const auto alone = told_by(1, "ddp", kRows);
  std::vector<std::int64_t> kept;
  for (const auto& state : alone.states) kept.push_back(kept_in(state));
  EXPECT_TRUE(std::is_sorted(kept.rbegin(), kept.rend()));
  EXPECT_EQ(kept.front(), 6 * 4);
  EXPECT_EQ(kept.back(), 6 * 2);
  EXPECT_GT(kept[3], kept.back());
  for (const auto& [ranks, strategy] : std::vector<std::pair<int, std::string>>{{1, "zero3"}, {2, "zero3"}, {3, "zero3"}, {2, "zero2"}, {3, "ddp"}}) {
    const auto spread = told_by(ranks, strategy, 1);
    EXPECT_EQ(spread.states, alone.states) << strategy << " on " << ranks;
    for (std::size_t i = 0; i < alone.values.size(); ++i)
      EXPECT_LT((spread.values[i] - alone.values[i]).abs().max().item<double>(), 1e-9) << strategy << " on " << ranks << ", tensor " << i;
  }
}

TEST(AdaLora, GoesOnBitForBit) {
  run_threads(1, [](Communicator& c) {
    Course whole(c, "ddp", kRows, at::kFloat);
    for (std::int64_t step = 0; step < kSteps; ++step) whole.step(step);
    for (const std::int64_t stop : {4, 10}) {  // among the choices, and after the last
      Course first(c, "ddp", kRows, at::kFloat), rest(c, "ddp", kRows, at::kFloat);
      for (std::int64_t step = 0; step < stop; ++step) first.step(step);
      const auto from = checkpoint_slices(*first.optimizer, first.rule.get());
      const auto to = checkpoint_slices(*rest.optimizer, rest.rule.get());
      ASSERT_EQ(from.size(), to.size());
      for (std::size_t i = 0; i < from.size(); ++i) {
        EXPECT_EQ(from[i].state + from[i].name, to[i].state + to[i].name);
        to[i].value.detach().copy_(from[i].value.detach());
      }
      rest.optimizer->restored(stop);
      rest.rule->restore(first.rule->state());
      for (auto step = stop; step < kSteps; ++step) rest.step(step);
      EXPECT_EQ(rest.rule->state(), whole.rule->state());
      const auto found = values_of(*rest.model), expected = values_of(*whole.model);
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << "stopped at " << stop << ", tensor " << i;
    }
  });
}

// What is left out of the folder answers nothing: the trained model, the folder's and the merged one are one.
TEST(AdaLora, ItsFolderHoldsTheRanksThatAreKept) {
  run_threads(1, [](Communicator& c) {
    const Scratch scratch;
    Course course(c, "ddp", kRows, at::kFloat);
    for (std::int64_t step = 0; step < kSteps; ++step) course.step(step);
    auto stored = options();
    peft_methods().at("adalora").take_state(course.rule->state(), stored);
    EXPECT_EQ(stored.total_steps, kSteps);
    save_adapter(*course.model, stored, "base", {}, scratch / "adapter");
    const auto batch = probe_batch(*course.model);
    const auto expected = probe_logits(*course.model, batch);
    const auto again = toy_model(5, {}, at::kFloat);
    attach_adapter(*again, scratch / "adapter", {});
    EXPECT_LT(deviation(expected, probe_logits(*again, batch)).relative(), 1e-6);
    std::int64_t ranks = 0;
    for (const auto* p : trained_parameters(*again))
      if (p->name.ends_with("lora_E")) ranks += p->value.size(0);
    EXPECT_EQ(ranks, 6 * 2);
    save_adapter(*again, read_adapter_options(scratch / "adapter"), "base", {}, scratch / "second");  // and once more, as it is
    const auto second = toy_model(5, {}, at::kFloat);
    attach_adapter(*second, scratch / "second", {});
    EXPECT_TRUE(at::equal(probe_logits(*second, batch), probe_logits(*again, batch)));
    merge_adapter(*again);
    EXPECT_LT(deviation(expected, probe_logits(*again, batch)).relative(), merge_bound(*again, at::kFloat));
  });
}

// orth_reg_weight · mean over all A and B of ‖A·Aᵀ − I‖ and ‖Bᵀ·B − I‖.
double regulariser(CausalLm& model) {
  double sum = 0;
  std::int64_t matrices = 0;
  for (const auto* p : trained_parameters(model)) {
    if (p->name.ends_with("lora_E")) continue;
    const auto x = p->name.ends_with("lora_A") ? p->value.detach() : p->value.detach().t();
    sum += (x.mm(x.t()) - at::eye(x.size(0), x.options())).norm().item<double>();
    ++matrices;
  }
  return options().orth_reg_weight * sum / static_cast<double>(matrices);
}

TEST(AdaLora, TheRegularisersGradientIsItsDifferences) {
  constexpr double h = 1e-5, scale = 3;
  run_threads(1, [&](Communicator& c) {
    Course course(c, "ddp", kRows);
    const auto strategy = strategies().at("ddp").make({*course.model, c, {}, 0});
    const auto rule = peft_methods().at("adalora").make_rule(*course.model, options(), strategy->slices(), kSteps);
    rule->add_to_gradients(strategy->slices(), scale);
    for (auto& slice : strategy->slices())
      for (const std::int64_t at : {std::int64_t{0}, slice.value.numel() / 2, slice.value.numel() - 1}) {
        const auto value = slice.value.detach();
        value[at] += h;
        const auto above = regulariser(*course.model);
        value[at] -= 2 * h;
        const auto below = regulariser(*course.model);
        value[at] += h;
        EXPECT_NEAR(slice.grad[at].item<double>(), scale * (above - below) / (2 * h), kDifference) << slice.parameter->name << " " << at;
      }
  });
}

TEST(AdaLora, RefusesACourseWithoutStepsToShrinkIn) {
  const auto model = toy_model(1);
  auto o = options();
  attach(*model, o, 3);
  o.tinit = 7;
  EXPECT_THAT(message_of<ConfigError>([&] { peft_methods().at("adalora").make_rule(*model, o, {}, 10); }), HasSubstr("7 and 3 steps of a run of 10"));
  o.target_r = 5;
  EXPECT_THAT(message_of<ConfigError>([&] { o.validate(); }), HasSubstr("at most peft.init_r, 4"));
}

}  // namespace
}  // namespace herd::test
