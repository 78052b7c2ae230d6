// `herd runs`: states of folders made by hand, and what is said of them. tests/e2e/runs_test.py has real runs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "launch/jobs/job_record.h"
#include "launch/run_config.h"
#include "launch/runs/compare_runs.h"
#include "launch/runs/stop.h"
#include "launch/runs/summary.h"
#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/report/metrics.h"
#include "tests/support/errors.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class RunsCommand : public test::CommandTest {
 protected:
  RunsCommand() : CommandTest("runs") { make_folder(runs()); }
  fs::path runs() const { return scratch_ / "runs"; }
  RunFolder folder(const std::string& name) const { return RunFolder(runs() / name); }

  // As a run leaves it that came to its third step.
  RunFolder make(const std::string& name, const std::vector<std::string>& overrides = {}) const {
    const auto run = folder(name);
    { const RunLock lock(run); }
    resolve_run({.file = "", .overrides = overrides}).save(run.config());
    MetricsWriter metrics(run.metrics(), std::nullopt);
    for (int step = 1; step <= 3; ++step)
      metrics.write(step, {{"loss", 4.0 - step}, {"tokens", 100.0 * step}, {"tokens_per_s", 1000.0 * step}});
    metrics.write(2, {{"held_out_loss", 1.5}});
    metrics.write(3, {{"held_out_loss", 1.75}});
    return run;
  }
  static RunState state(const RunFolder& run, const QueuedJobs& queued = std::nullopt) { return summarise(run, queued).state; }
  static void finish(const RunFolder& run) { make_folder(run.adapter()); }
};

TEST_F(RunsCommand, StatesByWhatLiesThere) {
  const auto run = make("a");
  EXPECT_EQ(state(run), RunState::kStopped);
  finish(run);
  EXPECT_EQ(state(run), RunState::kFinished);
  {
    const RunLock lock(run);
    const auto summary = summarise(run, std::nullopt);
    EXPECT_EQ(summary.state, RunState::kRunning);
    EXPECT_EQ(summary.detail, "on " + host_name());
    EXPECT_THAT(summary.started, testing::MatchesRegex(R"(20..-..-..T..:..:..Z)"));
  }
  EXPECT_EQ(state(run), RunState::kFinished) << "nothing of looking is left";
  // Gone on with, and stopped in its fourth step: the result is that of the run before.
  fs::last_write_time(run.adapter(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(state(run), RunState::kStopped);
  write_cause(run, 1, "no space left\nmore");
  const auto failed = summarise(run, std::nullopt);
  EXPECT_EQ(failed.state, RunState::kFailed);
  EXPECT_EQ(failed.detail, "rank 1 on " + host_name() + ": no space left");
}

TEST_F(RunsCommand, StatesByTheQueue) {
  const auto run = folder("q");
  make_folder(run.root());
  write_job(run, {.job = "12_3", .script = "s", .submitted = utc_now(), .stages = {}});
  const std::map<std::string, QueuedJob> queue{{"12_3", {"PENDING", "Resources"}}};
  EXPECT_EQ(state(run, queue), RunState::kWaiting);
  EXPECT_EQ(summarise(run, queue).detail, "PENDING: Resources");
  EXPECT_EQ(summarise(run, queue).job, "12_3");
  EXPECT_EQ(state(run, std::map<std::string, QueuedJob>{}), RunState::kNotBegun);
  EXPECT_THAT(summarise(run, std::nullopt).detail, HasSubstr("no squeue"));
}

TEST_F(RunsCommand, OnesThatCannotBeReadAreNamedBesideTheOthers) {
  make("good");
  write_file_atomically(make("torn").metrics(), "{\"step\": 1,\n");
  write_file_atomically(make("odd").config(), "a: [\n");
  write_file_atomically(make("job").job(), "{}");
  make_folder(runs() / "none");  // no run's
  EXPECT_EQ(herd({runs().string()}), 1);
  EXPECT_THAT(out_, AllOf(HasSubstr("good  stopped"), HasSubstr("torn  damaged"), HasSubstr("odd   damaged"), HasSubstr("job   damaged"),
                          Not(HasSubstr("none"))));
  EXPECT_THAT(err_, AllOf(HasSubstr("error: " + (runs() / "torn").string() + ": "), HasSubstr("metrics.jsonl:1"), HasSubstr("config.yaml"),
                          HasSubstr("job.json"), Not(HasSubstr("good"))));
}

TEST_F(RunsCommand, ListsInColumnsAndForMachines) {
  finish(make("finished"));
  ASSERT_EQ(herd({runs().string()}), 0) << err_;
  EXPECT_THAT(out_, testing::ContainsRegex("finished +finished +3 +1.0000 +1.7500 +3,000 +20"));
  ASSERT_EQ(herd({runs().string(), "--json"}), 0);
  const auto all = nlohmann::json::parse(out_);
  EXPECT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].at("state"), "finished");
  EXPECT_EQ(all[0].at("step"), 3);
  EXPECT_EQ(all[0].at("held_out_loss"), 1.75);
  EXPECT_TRUE(all[0].at("job").is_null());
  EXPECT_EQ(herd({(scratch_ / "nowhere").string()}), 1);
  EXPECT_THAT(err_, HasSubstr("a folder that holds runs"));
}

TEST_F(RunsCommand, ShowsOneWithWhatItsRecipeChanges) {
  const auto run = make("a", {"train.epochs=7"});
  ASSERT_EQ(herd({"show", run.root().string()}), 0) << err_;
  EXPECT_THAT(out_,
              AllOf(HasSubstr("  train.epochs: 7\n"), Not(HasSubstr("train.seed")), HasSubstr("held_out_loss"), HasSubstr("stopped")));
  EXPECT_EQ(herd({"show", (runs() / "b").string()}), 2);
  EXPECT_THAT(err_, HasSubstr("no run's folder"));
}

TEST_F(RunsCommand, ComparesSettingsNumbersAndCurves) {
  const auto a = make("a", {"train.epochs=7"}), b = make("b", {"train.epochs=8", "run.name=b"});
  const auto comparison = compare_runs({a, b});
  ASSERT_EQ(comparison.settings.size(), 1u);
  EXPECT_EQ(comparison.settings[0].key, "train.epochs");
  EXPECT_EQ(comparison.settings[0].values, (std::vector<std::string>{"7", "8"}));
  std::map<std::string, std::string> numbers;
  for (const auto& row : comparison.numbers) numbers[row.key] = row.values[0];
  EXPECT_EQ(numbers, (std::map<std::string, std::string>{{"steps", "3"},
                                                         {"loss, last", "1"},
                                                         {"held-out loss, last", "1.75"},
                                                         {"held-out loss, lowest", "1.5 at 2"},
                                                         {"tokens", "300"},
                                                         {"tokens/s, median", "2000"}}));
  const auto picture = (scratch_ / "p.svg").string();
  ASSERT_EQ(herd({"compare", a.root().string(), b.root().string(), "--picture", picture}), 0) << err_;
  EXPECT_THAT(out_, testing::ContainsRegex("train.epochs +7 +8"));
  EXPECT_THAT(read_file(picture), AllOf(HasSubstr("a, train 1"), HasSubstr("b, train 1"), HasSubstr("held out 1.75")));
  EXPECT_EQ(herd({"compare", a.root().string()}), 2);
  ASSERT_EQ(herd({"compare", a.root().string(), a.root().string(), "--json"}), 0);
  EXPECT_TRUE(nlohmann::json::parse(out_).at("settings").empty());
}

TEST_F(RunsCommand, TailsAndStopsWhatIsThere) {
  const auto run = make("a");
  EXPECT_EQ(herd({"tail", run.root().string()}), 1);
  EXPECT_THAT(err_, HasSubstr("the run has not begun"));
  write_file_atomically(run.log(), "one\ntwo\nthree\n");
  ASSERT_EQ(herd({"tail", run.root().string(), "-n", "2"}), 0);
  EXPECT_EQ(out_, "two\nthree\n");
  ASSERT_EQ(herd({"tail", "-f", run.root().string()}), 0);
  EXPECT_EQ(out_, "one\ntwo\nthree\n");
  EXPECT_EQ(herd({"stop", run.root().string()}), 1);
  EXPECT_THAT(err_, HasSubstr("no run at work"));
  {
    const RunLock lock(run);
    File(run.lock(), File::Mode::replace).write("host elsewhere, process 1, job 9, since 2026-01-01T00:00:00Z\n");
    EXPECT_EQ(herd({"stop", run.root().string()}), 1);
    EXPECT_THAT(err_, AllOf(HasSubstr("on another host"), HasSubstr("scancel --signal=USR1 9")));
    File(run.lock(), File::Mode::replace).write("host " + host_name() + ", process 1, since 2026-01-01T00:00:00Z\n");
    EXPECT_EQ(herd({"stop", run.root().string()}), 1) << "process 1 does not hold the lock";
    EXPECT_THAT(err_, HasSubstr("not to be seen from here"));
  }
}

}  // namespace
}  // namespace herd
