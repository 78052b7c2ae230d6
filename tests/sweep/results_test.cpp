// The table of a sweep, its page and its pictures.
#include "sweep/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/report/metrics.h"
#include "runtime/report/run_folder.h"
#include "sweep/report.h"
#include "sweep/runner.h"
#include "sweep/slurm_array.h"
#include "tests/support/errors.h"
#include "tests/support/sweep_files.h"

namespace herd::sweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Results : public testing::Test {
 protected:
  void begin(const std::string& text) {
    file_ = test::sweep_of(scratch_, text);
    plan_.emplace(file_, test::resolve_small);
    standings_.resize(plan_->points().size());
  }
  void stand(std::size_t point, State state, std::optional<double> value = {}) {
    standings_[point].state = state;
    standings_[point].value = value;
    standings_[point].step = value ? 10 + static_cast<std::int64_t>(point) : 0;
    standings_[point].seconds = 2;
  }
  std::vector<Row> rows() { return rows_of(*plan_, standings_, file_.options); }
  std::vector<std::size_t> order() {
    std::vector<std::size_t> out;
    for (const auto& row : rows()) out.push_back(row.setting);
    return out;
  }

  test::Scratch scratch_;
  SweepFile file_;
  std::optional<Plan> plan_;
  std::vector<Standing> standings_;
};

TEST_F(Results, MeanAndDeviationOverRepeats) {
  begin("repeats: 3\nseed_keys: [train.seed]\nparameters: {train.rate: [0.1, 0.2]}\n");
  for (std::size_t i = 0; i < 3; ++i) stand(i, State::kFinished, 1.0 + static_cast<double>(i));
  stand(3, State::kFinished, 1.5);
  stand(4, State::kFinished, 1.7);
  stand(5, State::kFailed);
  const auto found = rows();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].setting, 1u);
  EXPECT_DOUBLE_EQ(*found[0].mean, 1.6);
  EXPECT_NEAR(*found[0].sd, std::sqrt(0.02), 1e-12);  // ((0.1)² + (0.1)²) / 1
  EXPECT_EQ(found[0].state, "2 finished, 1 failed");
  EXPECT_DOUBLE_EQ(*found[1].mean, 2);
  EXPECT_DOUBLE_EQ(*found[1].sd, 1);
  EXPECT_EQ(found[1].state, "finished");
  EXPECT_EQ(found[1].rank, 2);
  EXPECT_EQ(found[1].seconds, 6);
}

TEST_F(Results, RanksByTheGoalAndPutsWhatHasNoValueLast) {
  const std::string grid = "parameters: {train.rate: [0.1, 0.2, 0.3, 0.4]}\n";
  for (const auto& [goal, expected] : {std::pair{"goal: min\n", std::vector<std::size_t>{2, 0, 1, 3}}, std::pair{"goal: max\n", std::vector<std::size_t>{0, 2, 1, 3}}}) {
    begin(grid + goal);
    stand(0, State::kFinished, 2);
    stand(1, State::kDiverged, 0.1);
    stand(2, State::kFinished, 1);
    EXPECT_EQ(order(), expected) << goal;
    EXPECT_EQ(rows()[2].rank, 0);
  }
}

TEST_F(Results, AHigherRungComesFirst) {
  begin("method: asha\npoints: 3\nasha: {least: 1, most: 4, factor: 2}\nparameters: {train.rate: {low: 0.1, high: 1}}\n");
  for (const auto& [point, rungs] : {std::pair{0u, 1u}, std::pair{1u, 3u}, std::pair{2u, 2u}}) {
    stand(point, rungs == 3 ? State::kFinished : State::kStopped, 0.1 * rungs);
    standings_[point].rungs.assign(rungs, 0.5);
  }
  EXPECT_THAT(order(), ElementsAre(1, 2, 0));
}

TEST_F(Results, CsvIsQuotedAndExact) {
  begin("metric: loss\nparameters: {train.method: ['a, \"b\"', c], train.r: {values: [4], when: {train.method: c}}}\n");
  stand(0, State::kFinished, 0.1 + 0.2);
  const auto csv = to_csv(*plan_, rows(), file_.options);
  EXPECT_THAT(csv, testing::StartsWith("rank,loss,sd,runs,state,step,seconds,train.method,train.r,points\n1,0.30000000000000004,,1,finished,10,2.0,\"a, \"\"b\"\"\",,"));
  EXPECT_THAT(csv, HasSubstr("\n,,,1,waiting,,0.0,c,4,"));
  EXPECT_THAT(to_markdown(*plan_, rows(), file_.options), HasSubstr("| 1 | 0.3000 | a, \"b\" |  | finished | 0:02 |\n"));
}

TEST_F(Results, TheReportIsOneFileThatAsksForNothing) {
  begin("metric: loss\nparameters: {train.rate: [0.001, 0.01, 0.1], train.method: ['<i>', b]}\n");
  for (std::size_t i = 0; i < 5; ++i) {
    stand(i, State::kFinished, 1 + static_cast<double>(i));
    const RunFolder run(Ledger(scratch_ / "out").run(plan_->points()[i].id));
    make_folder(run.root());
    MetricsWriter writer(run.metrics(), std::nullopt);
    for (int step = 1; step <= 3; ++step) writer.write(step, {{"loss", static_cast<double>(i) / step}});
  }
  stand(5, State::kFailed);
  standings_[5].error = "no room & <b>";
  const Ledger ledger(scratch_ / "out");
  Reporter(file_, *plan_, ledger).write(standings_);
  const auto page = read_file(ledger.root() / "report.html");
  EXPECT_THAT(page, testing::AllOf(testing::StartsWith("<!doctype html>"), Not(HasSubstr("https://")), Not(HasSubstr("src=")), Not(HasSubstr("href="))))
      << "but for the name space of SVG";
  EXPECT_THAT(page, testing::AllOf(HasSubstr("&lt;i&gt;"), Not(HasSubstr("<i>")), HasSubstr("no room &amp; &lt;b&gt;"), HasSubstr("<svg"), HasSubstr("loss against train.rate (logarithmic)")));
  for (const auto* name : {"parallel.png", "curves.png", "train.rate.png", "train.method.png"}) EXPECT_EQ(read_file(ledger.root() / "pictures" / name).substr(1, 3), "PNG") << name;
  const auto best = read_yaml(ledger.root() / "best" / "config.yaml");
  EXPECT_EQ(best.at_path("train.rate")->text, "0.001");
  EXPECT_EQ(best.at_path("run.folder")->text, (ledger.root() / "best").string());
}

TEST(Scale, NumbersStandByTheirSizeAndWordsInOrder) {
  const Scale linear({"1", "3", "2", "1"}), logarithmic({"1e-4", "1e-2", "1e-3"}), words({"b", "", "a"});
  EXPECT_DOUBLE_EQ(*linear.at("2"), 0.5);
  EXPECT_TRUE(logarithmic.logarithmic());
  EXPECT_NEAR(*logarithmic.at("0.001"), 0.5, 1e-12);
  EXPECT_DOUBLE_EQ(*words.at("a"), 0.25);
  EXPECT_FALSE(words.at(""));
}

TEST_F(Results, TheCommandOfAPoint) {
  begin("run: {ranks: 2, slots: 2, launcher: mpirun  --oversubscribe}\nparameters: {train.rate: [0.1]}\n");
  const auto config = plan_->config(plan_->points()[0], "f");
  EXPECT_THAT(command_of({.point = 0, .stop_after = 7}, config, "c.yaml", file_.options, {.program = "/bin/herd", .slots = 2, .cores = 16}),
              ElementsAre("mpirun", "--oversubscribe", "-n", "2", "/bin/herd", "train", "c.yaml", "resume=auto", "model.threads=4", "train.stop_after=7"));
  begin("set: {model.threads: 3}\nparameters: {train.rate: [0.1]}\n");
  EXPECT_THAT(command_of({}, plan_->config(plan_->points()[0], "f"), "c.yaml", file_.options, {.program = "herd", .cores = 1}), ElementsAre("herd", "train", "c.yaml", "resume=auto"));
}

TEST(Devices, EachSlotHasItsOwn) {
  EXPECT_EQ(devices_of(0, 2, ""), "0,1");
  EXPECT_EQ(devices_of(1, 2, ""), "2,3");
  EXPECT_EQ(devices_of(1, 1, "5,GPU-a"), "GPU-a");
  EXPECT_THAT(test::message_of<ConfigError>([] { devices_of(1, 2, "5,6,7"); }), HasSubstr("fewer run.slots"));
}

TEST(SlurmArray, ScriptsQuoteAndNameTheElement) {
  SweepOptions options;
  options.run = {.ranks = 4, .slots = 3};
  options.slurm = {"--time=2:00:00"};
  const ArrayJob job{.program = "/opt/her d/herd", .arguments = shell_words({"a b.yaml", "set.data.sets=[it's]"}), .folder = "/runs/x", .workers = 20};
  const auto script = array_script(job, options);
  EXPECT_THAT(script, testing::AllOf(HasSubstr("#SBATCH --array=0-19%3\n"), HasSubstr("#SBATCH --ntasks=4\n"), HasSubstr("#SBATCH --time=2:00:00\n"),
                                     HasSubstr("'/opt/her d/herd' sweep 'a b.yaml' 'set.data.sets=[it'\\''s]' --worker \"$SLURM_ARRAY_TASK_ID/20\" & job=$!\n")));
  EXPECT_THAT(report_script(job), HasSubstr("--report\n"));
}

}  // namespace
}  // namespace herd::sweep
