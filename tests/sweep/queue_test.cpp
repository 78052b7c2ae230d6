// The states of points: stored, judged, and taken in order.
#include "sweep/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/base/exit_codes.h"
#include "runtime/report/metrics.h"
#include "runtime/report/run_folder.h"
#include "tests/support/errors.h"
#include "tests/support/sweep_files.h"

namespace herd::sweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kGrid = "parameters: {train.rate: [0.1, 0.2, 0.3, 0.4]}\nmetric: loss\nvalue: last\n";
constexpr const char* kAsha = "method: asha\npoints: 4\nasha: {least: 2, most: 8, factor: 2}\nparameters: {train.rate: {low: 0.1, high: 1}}\nmetric: loss\nvalue: last\n";

class QueueTest : public testing::Test {
 protected:
  void begin(const std::string& text) {
    file_ = test::sweep_of(scratch_, text);
    plan_.emplace(file_, test::resolve_small);
  }
  Queue queue(Share share = {}) { return Queue(*plan_, ledger_, file_.options, share); }
  std::filesystem::path run(std::size_t point) { return ledger_.run(plan_->points()[point].id); }
  void write_loss(std::size_t point, std::int64_t step, double loss) {
    make_folder(run(point));
    const auto file = RunFolder(run(point)).metrics();
    MetricsWriter(file, std::filesystem::exists(file) ? std::optional(step - 1) : std::nullopt).write(step, {{"loss", loss}});
  }
  // A task that ends well at this loss.
  State finish(Queue& queue, const Task& task, double loss, int code = kExitSuccess) {
    write_loss(task.point, std::max<std::int64_t>(task.stop_after, 1), loss);
    return queue.ended(task, code, 1.5, false).state;
  }

  test::Scratch scratch_;
  SweepFile file_;
  std::optional<Plan> plan_;
  Ledger ledger_{scratch_ / "out"};
};

TEST_F(QueueTest, StatesAreStoredWhole) {
  Standing standing{.state = State::kStopped, .starts = 3, .seconds = 7.25, .exit_code = 0, .error = "n\xc3\xb6", .value = 0.1 + 0.2, .step = 12,
                    .rungs = {0.5, std::numeric_limits<double>::infinity()}};
  ledger_.write("a", standing);
  const auto read = ledger_.read("a");
  EXPECT_EQ(read.state, State::kStopped);
  EXPECT_EQ(read.starts, 3);
  EXPECT_EQ(read.seconds, 7.25);
  EXPECT_EQ(read.exit_code, 0);
  EXPECT_EQ(read.error, "n\xc3\xb6");
  EXPECT_EQ(read.value, 0.1 + 0.2);
  EXPECT_EQ(read.step, 12);
  EXPECT_EQ(read.rungs, standing.rungs);
  EXPECT_EQ(ledger_.read("b").state, State::kWaiting);
  make_folder(ledger_.folder("c"));
  write_file_atomically(ledger_.folder("c") / "state.json", "{\"state\": \"asleep\"}");
  EXPECT_THAT(test::message_of<IoError>([&] { ledger_.read("c"); }), testing::AllOf(HasSubstr("state.json"), HasSubstr("remove it")));
}

TEST_F(QueueTest, RunsEachPointOnceInOrder) {
  begin(kGrid);
  auto first = queue();
  std::vector<std::size_t> order;
  while (auto task = first.take()) {
    order.push_back(task->point);
    EXPECT_EQ(finish(first, *task, 0.5), State::kFinished);
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(queue().take()) << "what is finished is not run again";
  EXPECT_FALSE(first.any_failed());
}

TEST_F(QueueTest, TellsFailedDivergedAndPreemptedApart) {
  begin(kGrid);
  auto one = queue();
  auto failed = *one.take(), diverged = *one.take(), preempted = *one.take(), silent = *one.take();
  write_cause(RunFolder(run(failed.point)), 0, "no such file");
  EXPECT_EQ(one.ended(failed, kExitFailure, 1, false).error, "no such file");
  write_cause(RunFolder(run(diverged.point)), 0, "step 3: found the loss is not finite; expected finite numbers");
  EXPECT_EQ(one.ended(diverged, kExitFailure, 1, false).state, State::kDiverged);
  EXPECT_EQ(one.ended(preempted, kExitPreempted, 1, false).state, State::kPreempted);
  EXPECT_EQ(one.ended(silent, 0, 1, false).state, State::kFailed);
  EXPECT_THAT(one.standings()[silent.point].error, HasSubstr("no 'loss' in"));
  EXPECT_TRUE(one.any_failed());

  preempted.hold.reset();
  auto two = queue();
  const auto again = two.take();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->point, preempted.point) << "it goes on";
  EXPECT_FALSE(two.take()) << "failed and diverged ones stay";
  EXPECT_EQ(two.count(State::kFailed), 2);
}

TEST_F(QueueTest, ARunThatEndsWithoutANumberHasDiverged) {
  begin(kGrid);
  auto one = queue();
  const auto task = *one.take();
  write_loss(task.point, 3, std::nan(""));
  EXPECT_EQ(one.ended(task, 0, 1, false).state, State::kDiverged);
}

TEST_F(QueueTest, FailedOnesAloneRunAgainWhereAsked) {
  begin(kGrid);
  auto one = queue();
  for (const int code : {0, 1, 137}) {
    const auto task = *one.take();
    write_loss(task.point, 1, 0.5);
    one.ended(task, code, 1, false);
  }
  auto two = queue({.failed_only = true});
  const auto first = *two.take(), second = *two.take();
  EXPECT_EQ(first.point, 1u);
  EXPECT_EQ(second.point, 2u);
  EXPECT_FALSE(two.take()) << "the waiting one stays";
  finish(two, first, 0.1);
  EXPECT_EQ(finish(two, second, 0.1, 1), State::kFailed);
  EXPECT_FALSE(two.take()) << "once";
}

TEST_F(QueueTest, WhatASubmitterLeftRunningGoesOnOnceNobodyHasIt) {
  begin(kGrid);
  std::optional<Queue> one(queue());
  auto task = one->take();
  const auto first = task->point;
  auto other = queue();
  const auto second = other.take();
  EXPECT_NE(second->point, first);
  EXPECT_TRUE(test::outcome_of<IoError>([&] { Hold(ledger_.folder(plan_->points()[first].id), "the point"); }).find("at work already (host ") != std::string::npos);
  task.reset();  // as if its process had died
  one.reset();
  RunLock run_lock{RunFolder(run(first))};  // but its run lives
  EXPECT_NE(other.take()->point, first);
  auto only = queue({.part = 0, .parts = 4});
  EXPECT_FALSE(only.take());
  EXPECT_TRUE(only.later());
}

TEST_F(QueueTest, PartsShareThePoints) {
  begin(kGrid);
  auto one = queue({.part = 1, .parts = 3});
  EXPECT_EQ(one.take()->point, 1u);
  EXPECT_FALSE(one.take());
  EXPECT_FALSE(one.later());
}

TEST_F(QueueTest, APreemptedPointIsNotTriedWithoutEnd) {
  begin(kGrid);
  auto one = queue({.part = 0, .parts = 4});
  int starts = 0;
  while (auto task = one.take()) {
    ++starts;
    one.ended(*task, kExitTerminated, 1, false);
  }
  EXPECT_EQ(starts, 3);
  EXPECT_TRUE(one.any_preempted());
}

TEST_F(QueueTest, TheBudgetCountsPointsThatWereBegun) {
  begin(std::string(kGrid) + "budget: {points: 2}\n");
  auto one = queue();
  auto first = *one.take();
  one.ended(first, kExitPreempted, 1, false);
  first.hold.reset();
  auto two = queue();
  const auto again = two.take(), second = two.take();
  ASSERT_TRUE(again && second);
  EXPECT_EQ(again->point, first.point) << "it was counted already";
  EXPECT_FALSE(two.take());
}

TEST_F(QueueTest, AshaClimbsByTheStatesInTheFolder) {
  begin(kAsha);
  const std::vector<double> losses{0.4, 0.3, 0.2, 0.1};
  std::vector<std::pair<std::size_t, std::int64_t>> runs;
  for (int i = 0; i < 3; ++i) {  // three submitters, one after the other
    auto one = queue();
    for (int j = 0; j < (i < 2 ? 2 : 99); ++j) {
      const auto task = one.take();
      if (!task) break;
      runs.emplace_back(task->point, task->stop_after);
      finish(one, *task, losses[task->point]);
    }
  }
  using testing::Pair;
  EXPECT_THAT(runs, ElementsAre(Pair(0, 2), Pair(1, 2), Pair(1, 4), Pair(2, 2), Pair(2, 4), Pair(2, 8), Pair(3, 2), Pair(3, 4), Pair(3, 8)))
      << "each is better than all before it, so it climbs at once";
  auto last = queue();
  EXPECT_EQ(last.count(State::kFinished), 2);
  EXPECT_EQ(last.count(State::kStopped), 2);
}

}  // namespace
}  // namespace herd::sweep
