// From logits to a token: closed forms, and statistics over fixed seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "infer/log_probs.h"
#include "infer/sampler.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::map<TokenId, double> distribution(const SamplingOptions& options, const std::vector<float>& logits) {
  std::map<TokenId, double> found;
  TokenSampler sampler(options);
  for (const auto& c : sampler.distribution(logits)) found[c.id] = c.probability;
  return found;
}

std::vector<float> logs(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const auto p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 3);  // a constant changes nothing
  return logits;
}

void expect_distribution(const std::map<TokenId, double>& found, const std::map<TokenId, double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [id, p] : expected) {
    ASSERT_TRUE(found.contains(id)) << id;
    EXPECT_NEAR(found.at(id), p, 1e-6) << id;
  }
}

TEST(Sampler, GreedyTakesTheGreatestAndTheFirstOfEquals) {
  TokenSampler sampler({});
  EXPECT_EQ(sampler.pick(std::vector<float>{1, 3, 3, -kInfinity}, 0, 0), 1);
  EXPECT_EQ(sampler.pick(std::vector<float>{-5}, 0, 0), 0);
}

TEST(Sampler, WarpersInClosedForm) {
  const auto logits = logs({0.1, 0.4, 0.2, 0.3});
  expect_distribution(distribution({.temperature = 1}, logits), {{0, 0.1}, {1, 0.4}, {2, 0.2}, {3, 0.3}});
  // Temperature 1/2 squares the probabilities: 1, 16, 4, 9 of 30.
  expect_distribution(distribution({.temperature = 0.5}, logits), {{0, 1 / 30.0}, {1, 16 / 30.0}, {2, 4 / 30.0}, {3, 9 / 30.0}});
  expect_distribution(distribution({.temperature = 1, .top_k = 2}, logits), {{1, 4 / 7.0}, {3, 3 / 7.0}});
  // The token that crosses p is kept: 0.4 + 0.3 reach 0.69 but not 0.71.
  expect_distribution(distribution({.temperature = 1, .top_p = 0.69}, logits), {{1, 4 / 7.0}, {3, 3 / 7.0}});
  expect_distribution(distribution({.temperature = 1, .top_p = 0.71}, logits), {{1, 4 / 9.0}, {2, 2 / 9.0}, {3, 3 / 9.0}});
  expect_distribution(distribution({.temperature = 1, .top_p = 1e-9}, logits), {{1, 1}});
  // top-p sees what temperature and top-k left: of 4/7 and 3/7 the first alone holds 0.5.
  expect_distribution(distribution({.temperature = 1, .top_k = 2, .top_p = 0.5}, logits), {{1, 1}});
  expect_distribution(distribution({.temperature = 0.5, .top_p = 0.5}, logits), {{1, 1}});
}

TEST(Sampler, MinPIsAShareOfTheGreatest) {
  const auto logits = logs({0.1, 0.4, 0.2, 0.3});
  expect_distribution(distribution({.temperature = 1, .min_p = 0.49}, logits), {{1, 4 / 9.0}, {2, 2 / 9.0}, {3, 3 / 9.0}});
  expect_distribution(distribution({.temperature = 1, .min_p = 0.51}, logits), {{1, 4 / 7.0}, {3, 3 / 7.0}});
  expect_distribution(distribution({.temperature = 1, .min_p = 1}, logits), {{1, 1}});
  // Of what temperature left: the square of 3/4 is above 1/2, that of 2/4 is not.
  expect_distribution(distribution({.temperature = 0.5, .min_p = 0.5}, logits), {{1, 16 / 25.0}, {3, 9 / 25.0}});
  expect_distribution(distribution({.temperature = 1, .min_p = 1}, {0, 1, 1}), {{1, 0.5}, {2, 0.5}});
}

// Of 0.5, 0.25, 0.15, 0.1 the entropy is 1.208 nats; their information lies 0.515, 0.178, 0.689 and 1.095 from it.
TEST(Sampler, TypicalTokensAreNearestTheEntropy) {
  const auto logits = logs({0.5, 0.25, 0.15, 0.1});
  const auto kept = [&](double mass) { return distribution({.temperature = 1, .typical_p = mass}, logits); };
  expect_distribution(kept(0.2), {{1, 1}});  // not the most probable one
  expect_distribution(kept(0.3), {{0, 2 / 3.0}, {1, 1 / 3.0}});
  expect_distribution(kept(0.8), {{0, 5 / 9.0}, {1, 2.5 / 9}, {2, 1.5 / 9}});
  expect_distribution(kept(0.95), {{0, 0.5}, {1, 0.25}, {2, 0.15}, {3, 0.1}});
  // Equally probable ones lie equally far; what cannot come has no entropy.
  expect_distribution(distribution({.temperature = 1, .typical_p = 0.1}, {2, -kInfinity, 2}), {{0, 0.5}, {2, 0.5}});
  // It sees what the others left: of 0.5 and 0.25 alone, the first is nearer.
  expect_distribution(distribution({.temperature = 1, .top_k = 2, .typical_p = 0.2}, logits), {{0, 1}});
}

TEST(Sampler, EachKeepsAtLeastAsManyAsAreAskedFor) {
  const auto logits = logs({0.5, 0.25, 0.15, 0.1});
  const auto kept = [&](const SamplingOptions& options) {
    std::set<TokenId> ids;
    TokenSampler sampler(options, 3);
    for (const auto& c : sampler.distribution(logits)) ids.insert(c.id);
    return ids;
  };
  using Ids = std::set<TokenId>;
  EXPECT_EQ(kept({.temperature = 1, .top_k = 1}), (Ids{0, 1, 2}));
  EXPECT_EQ(kept({.temperature = 1, .top_p = 0.1}), (Ids{0, 1, 2}));
  EXPECT_EQ(kept({.temperature = 1, .min_p = 1}), (Ids{0, 1, 2}));
  EXPECT_EQ(kept({.temperature = 1, .typical_p = 0.1}), (Ids{0, 1, 2}));
  EXPECT_EQ(kept({.temperature = 1}), (Ids{0, 1, 2, 3}));
}

// 1.5 and the next number after it are one number when both are divided by 1.25, in fp32.
TEST(Sampler, WhatTemperatureMakesEqualIsEqual) {
  const auto next = std::nextafter(1.5f, 2.f);
  expect_distribution(distribution({.temperature = 1.25, .top_k = 1}, {1.5f, next}), {{0, 0.5}, {1, 0.5}});
  expect_distribution(distribution({.temperature = 1, .top_k = 1}, {1.5f, next}), {{1, 1}});
}

TEST(Sampler, TiesOfTheKthStayAndImpossibleTokensAreNeverDrawn) {
  expect_distribution(distribution({.temperature = 1, .top_k = 2}, {1, 2, 1, 0}),
                      {{0, 1 / (2 + std::exp(1))}, {1, std::exp(1) / (2 + std::exp(1))}, {2, 1 / (2 + std::exp(1))}});
  TokenSampler sampler({.temperature = 10, .seed = 3});
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(sampler.pick(std::vector<float>{-kInfinity, 0, -kInfinity}, i, 0), 1);
}

// Pearson's statistic over 20,000 draws of a fixed seed; at 9 degrees of freedom 27.9 is exceeded with probability 1e-3.
TEST(Sampler, DrawsFollowTheDistribution) {
  std::vector<double> p(10);
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<double>(i + 1) / 55;
  const auto logits = logs(p);
  constexpr int kDraws = 20000;
  for (const bool by_position : {true, false}) {
    for (const double top_p : {1.0, 0.999}) {  // two orders of walking the same tokens
      TokenSampler sampler({.temperature = 1, .top_p = top_p, .seed = 17});
      std::vector<int> count(10);
      for (std::uint64_t i = 0; i < kDraws; ++i)
        ++count[static_cast<std::size_t>(by_position ? sampler.pick(logits, 4, i) : sampler.pick(logits, i, 4))];
      double chi_square = 0;
      for (std::size_t i = 0; i < p.size(); ++i) chi_square += std::pow(count[i] - kDraws * p[i], 2) / (kDraws * p[i]);
      EXPECT_LT(chi_square, 27.9) << by_position << " " << top_p;
    }
  }
}

TEST(Sampler, ATokenDependsOnSeedPromptAndPositionAlone) {
  const std::vector<float> logits(64, 0);
  const auto draws = [&](std::uint64_t seed, std::uint64_t prompt) {
    TokenSampler sampler({.temperature = 1, .seed = seed});
    std::vector<TokenId> ids;
    for (std::uint64_t position = 0; position < 32; ++position) ids.push_back(sampler.pick(logits, prompt, position));
    return ids;
  };
  const auto first = draws(1, 0);
  EXPECT_EQ(first, draws(1, 0));
  EXPECT_NE(first, draws(2, 0));
  EXPECT_NE(first, draws(1, 1));
  TokenSampler sampler({.temperature = 1, .seed = 1});
  sampler.pick(logits, 9, 9);
  EXPECT_EQ(sampler.pick(logits, 0, 31), first[31]);
}

TEST(Sampler, RefusesWhatCannotBeMeant) {
  const auto message = [](const SamplingOptions& options) { return message_of<ConfigError>([&] { options.validate(); }); };
  EXPECT_THAT(message({.temperature = -1}), HasSubstr("temperature"));
  EXPECT_THAT(message({.temperature = 1, .top_k = -1}), HasSubstr("top-k"));
  EXPECT_THAT(message({.temperature = 1, .top_p = 0}), HasSubstr("top-p"));
  EXPECT_THAT(message({.temperature = 1, .top_p = 1.1}), HasSubstr("top-p"));
  EXPECT_THAT(message({.temperature = 1, .min_p = 1.1}), HasSubstr("min-p"));
  EXPECT_THAT(message({.temperature = 1, .typical_p = 0}), HasSubstr("typical-p"));
  EXPECT_THAT(message({.temperature = 1e-9}), HasSubstr("1e-6 or more"));
  for (const auto& [options, key] : {std::pair{SamplingOptions{.top_k = 5}, "top-k"},
                                     {SamplingOptions{.top_p = 0.5}, "top-p"},
                                     {SamplingOptions{.min_p = 0.5}, "min-p"},
                                     {SamplingOptions{.typical_p = 0.5}, "typical-p"}})
    EXPECT_THAT(message(options), testing::AllOf(HasSubstr(key), HasSubstr("add a temperature")));
  for (const double temperature : {0.0, 1.0}) {
    TokenSampler sampler({.temperature = temperature});
    EXPECT_THROW(sampler.pick(std::vector<float>{0, std::nanf(""), 1}, 0, 0), DataError);
    EXPECT_THROW(sampler.pick(std::vector<float>{0, kInfinity}, 0, 0), DataError);
    EXPECT_THAT(message_of<DataError>([&] { sampler.pick(std::vector<float>{-kInfinity, -kInfinity}, 0, 0); }), HasSubstr("every token is banned"));
    EXPECT_THROW(sampler.pick(std::vector<float>{}, 0, 0), DataError);
  }
}

TEST(LogProbs, InClosedForm) {
  const auto found = log_probs(logs({0.1, 0.4, 0.2, 0.3}), 2, 3);
  EXPECT_EQ(found.chosen.id, 2);
  EXPECT_NEAR(found.chosen.log_prob, std::log(0.2), 1e-6);
  ASSERT_EQ(found.top.size(), 3u);
  const std::vector<std::pair<TokenId, double>> expected{{1, 0.4}, {3, 0.3}, {2, 0.2}};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found.top[i].id, expected[i].first);
    EXPECT_NEAR(found.top[i].log_prob, std::log(expected[i].second), 1e-6);
  }
}

TEST(LogProbs, EqualsComeByIdAndNoMoreThanThereAre) {
  const auto found = log_probs(std::vector<float>{5, 300, 300, -kInfinity}, 3, 9);
  EXPECT_EQ(found.chosen.log_prob, -kInfinity);
  std::vector<TokenId> ids;
  for (const auto& [id, log_prob] : found.top) ids.push_back(id);
  EXPECT_THAT(ids, testing::ElementsAre(1, 2, 0, 3));
  EXPECT_DOUBLE_EQ(found.top[0].log_prob, -std::log(2.0));  // e^300 would overflow fp32
  EXPECT_TRUE(log_probs(std::vector<float>{1, 2}, 0, 0).top.empty());
}

}  // namespace
}  // namespace herd::test
