// Scores over records: counts by hand, and the bootstrap against its exact distribution.
#include "infer/metrics/scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "infer/metrics/bootstrap.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;

// Of sums of order 1: some ten roundings of 1e-16.
constexpr double kRounding = 1e-14;

const std::vector<std::string> kReferences{"A", "A", "A", "B", "B", "C"}, kAnswers{"A", "A", "B", "B", "", "A"};

TEST(Scores, OfLabelsByHand) {
  const auto found = confusion(kReferences, kAnswers);
  EXPECT_THAT(found.labels, ElementsAre("", "A", "B", "C"));
  EXPECT_THAT(found.counts, ElementsAre(ElementsAre(0, 0, 0, 0), ElementsAre(0, 2, 1, 0), ElementsAre(1, 0, 1, 0), ElementsAre(0, 1, 0, 0)));
  const auto all = f1_scores(found);
  EXPECT_EQ(all.labels[1].precision, 2.0 / 3);
  EXPECT_EQ(all.labels[2].recall, 1.0 / 2);
  EXPECT_EQ(all.labels[3].f1, 0);
  EXPECT_EQ(all.labels[1].support, 3);
  EXPECT_NEAR(all.macro, (0 + 2.0 / 3 + 1.0 / 2 + 0) / 4, kRounding);
  EXPECT_EQ(all.micro, 3.0 / 6) << "over all labels it is the accuracy";
  const auto known = f1_scores(found, std::vector<std::string>{"A", "B", "C"});
  EXPECT_NEAR(known.macro, (2.0 / 3 + 1.0 / 2 + 0) / 3, kRounding);
  EXPECT_EQ(known.micro, 2.0 * 3 / (5 + 6));
  EXPECT_THROW(f1_scores(found, std::vector<std::string>{"A", "A"}), DataError);
  EXPECT_THAT(message_of<DataError>([] { confusion(kReferences, {}); }), HasSubstr("6 and 0"));
}

// Means of three draws from 0, 0, 1 are 0 by 8/27, 1/3 by 12/27, 2/3 by 6/27, 1 by 1/27 = 0.037: with 0.8 in the middle both ends lie far
// within a step, whatever the seed.
TEST(Bootstrap, OfThreeScoresIsKnown) {
  for (const std::uint64_t seed : {0, 1, 2}) {
    const auto found = bootstrap_mean(std::vector<double>{0, 0, 1}, {.level = 0.8, .seed = seed});
    EXPECT_EQ(found.mean, 1.0 / 3);
    EXPECT_EQ(found.low, 0);
    EXPECT_EQ(found.high, 2.0 / 3);
  }
}

// Of many, the ends are those of the normal distribution. Five of their own standard errors: sqrt(p(1 - p)/B) / density at 1.96, in units
// of the mean's.
TEST(Bootstrap, OfManyScoresIsNormal) {
  std::vector<double> scores(1000);
  Random random(3, 0);
  for (auto& score : scores) score = random.normal();
  const BootstrapOptions options{.resamples = 4000, .seed = 5};
  const auto found = bootstrap_mean(scores, options);
  double squares = 0;
  for (const auto score : scores) squares += (score - found.mean) * (score - found.mean);
  const auto error = std::sqrt(squares) / static_cast<double>(scores.size());
  const auto bound = 5 * std::sqrt(0.025 * 0.975 / 4000) / 0.0584 * error;
  EXPECT_NEAR(found.low, found.mean - 1.96 * error, bound);
  EXPECT_NEAR(found.high, found.mean + 1.96 * error, bound);
  const auto again = bootstrap_mean(scores, options);
  EXPECT_EQ(again.low, found.low);
  EXPECT_NE(bootstrap_mean(scores, {.resamples = 4000, .seed = 6}).low, found.low);
}

// Two runs that differ by 0.1 on every record: apart they vary, paired they do not.
TEST(Bootstrap, OfADifferenceIsPaired) {
  std::vector<double> a(100), b(100);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = 0.1 + (b[i] = static_cast<double>(i % 7));
  const auto found = bootstrap_difference(a, b);
  EXPECT_NEAR(found.mean, 0.1, kRounding);
  EXPECT_NEAR(found.low, 0.1, kRounding);
  EXPECT_NEAR(found.high, 0.1, kRounding);
  EXPECT_THAT(message_of<DataError>([&] { bootstrap_difference(a, {}); }), HasSubstr("100 and 0 scores"));
}

// Of two records: one of them twice, or both.
TEST(Bootstrap, OfARatioIsOfSums) {
  const std::vector<double> a{6, 2}, b{2, 6};
  const auto interval = bootstrap_ratio(a, b);
  EXPECT_DOUBLE_EQ(interval.mean, 1);
  EXPECT_DOUBLE_EQ(interval.low, 1.0 / 3);
  EXPECT_DOUBLE_EQ(interval.high, 3);
  EXPECT_THROW(bootstrap_ratio(a, std::vector<double>{1, 0}), DataError);
  EXPECT_THROW(bootstrap_ratio(a, std::vector<double>{1}), DataError);
}

TEST(Bootstrap, InfinityIsAnEndLikeOthers) {
  const auto infinity = std::numeric_limits<double>::infinity();
  const auto interval = bootstrap_mean(std::vector<double>{1, infinity});
  EXPECT_EQ(interval.mean, infinity);
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, infinity);
}

TEST(Bootstrap, RefusesWhatHasNoInterval) {
  EXPECT_THROW(bootstrap_mean({}), DataError);
  EXPECT_THROW(bootstrap_mean(std::vector<double>{1}, {.resamples = 0}), ConfigError);
  EXPECT_THROW(bootstrap_mean(std::vector<double>{1}, {.level = 1}), ConfigError);
}

}  // namespace
}  // namespace herd::test
