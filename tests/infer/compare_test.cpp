// Evaluations side by side: values in their columns, and differences of runs that are alike alone.
#include "infer/evaluate/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace herd::test {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kRounding = 1e-15;  // of a mean of a few numbers below 1

Outcome outcome(const std::string& question, const std::string& category, double acc) {
  return {.category = category, .question = question, .reference = "right", .scores = {{"acc", acc}}};
}

ComparedRun run(const std::string& name, std::vector<double> scores) {
  ComparedRun out{.name = name};
  out.results.set("task", "sums");
  out.results.set("task_fingerprint", "1");
  for (std::size_t i = 0; i < scores.size(); ++i) out.outcomes.push_back(outcome("question " + std::to_string(i), i % 2 ? "b" : "a", scores[i]));
  out.results.values = values_of({.kind = EvaluationTask::Kind::kChoice}, out.outcomes);
  return out;
}

const ComparedRow& row_of(const Comparison& comparison, const std::string& metric, const std::string& category) {
  return *std::ranges::find_if(comparison.rows, [&](const ComparedRow& row) { return row.metric == metric && row.category == category; });
}

TEST(Compare, DifferencesAreFromTheFirstAndPairedByRecord) {
  const std::vector runs{run("one", {0, 1, 0, 1}), run("two", {1, 1, 1, 1}), run("three", {0, 0, 0, 1})};
  const auto found = compare(runs);
  EXPECT_THAT(found.unpaired, IsEmpty());
  const auto& all = row_of(found, "acc", "all");
  EXPECT_EQ(all.best(), 1u);
  EXPECT_FALSE(all.differences[0]);
  EXPECT_NEAR(all.differences[1]->mean, 0.5, kRounding);
  EXPECT_NEAR(all.differences[2]->mean, -0.25, kRounding);
  EXPECT_NEAR(row_of(found, "acc", "b").differences[2]->mean, -0.5, kRounding);
  EXPECT_EQ(row_of(found, "acc", "a").differences[1]->low, 1) << "both of its records differ by 1";
  EXPECT_FALSE(row_of(found, "acc", "macro").differences[1]) << "a mean of means is none over records";
}

TEST(Compare, RunsOfOtherRecordsAreNotPairedAndSayWhy) {
  const auto one = run("one", {0, 1});
  const auto why = [&](const ComparedRun& other) {
    const auto found = compare({one, other});
    EXPECT_FALSE(row_of(found, "acc", "all").differences[1]);
    EXPECT_TRUE(row_of(found, "acc", "all").values[1]);
    return found.unpaired.empty() ? "" : found.unpaired[0];
  };
  auto other = run("other", {0, 1});
  EXPECT_THAT(compare({one, other}).unpaired, IsEmpty());
  other.outcomes[1].question = "another question, which is longer than is told of it";
  EXPECT_THAT(why(other), AllOf(HasSubstr("between one and other"), HasSubstr("question of record 2: 'question 1' and 'another question, which is longer than i…'")));
  other = run("other", {0, 1});
  other.outcomes[0].reference = "wrong";
  EXPECT_THAT(why(other), HasSubstr("reference of record 1: 'right' and 'wrong'"));
  other = run("other", {0, 1});
  other.results.set("task_fingerprint", "2");
  EXPECT_THAT(why(other), HasSubstr("tasks of fingerprint 1 and 2"));
  EXPECT_THAT(why(run("other", {0, 1, 1})), HasSubstr("2 records and 3"));
}

TEST(Compare, OfPerplexitiesLessIsBetterAndRowsOfOneRunStandAlone) {
  auto one = run("one", {}), two = run("two", {});
  one.results.values = {{.metric = "perplexity", .category = "all", .records = 1, .value = std::numeric_limits<double>::infinity()}};
  two.results.values = {{.metric = "perplexity", .category = "all", .records = 1, .value = 8}, {.metric = "acc", .category = "all", .records = 1, .value = 1}};
  const auto found = compare({one, two});
  EXPECT_EQ(found.rows[0].best(), 1u);
  EXPECT_FALSE(found.rows[1].values[0]);
  EXPECT_EQ(found.rows[1].best(), 1u);
  EXPECT_EQ(comparison_csv({one, two}, found.rows),
            "task,metric,category,one,one low,one high,two,two low,two high,two difference,two difference low,two difference high\n"
            "sums,perplexity,all,inf,,,8,,,,,\nsums,acc,all,,,,1,,,,,\n");
  EXPECT_THAT(comparison_bars("perplexity", {one, two}, found.rows).svg(), testing::Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace herd::test
