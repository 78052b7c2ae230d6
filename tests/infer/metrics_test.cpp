// Metrics of small texts, whose every number follows by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "infer/metrics/bleu.h"
#include "infer/metrics/distinct.h"
#include "infer/metrics/rouge.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;

// Of closed forms of order 100: some ten roundings of 1e-16 each.
constexpr double kRounding = 1e-13;

void expect_overlap(const Overlap& found, double precision, double recall) {
  EXPECT_NEAR(found.precision, precision, kRounding);
  EXPECT_NEAR(found.recall, recall, kRounding);
  EXPECT_NEAR(found.f, 2 * precision * recall / (precision + recall), kRounding);
}

TEST(Tokens, AreWordsOrCharacters) {
  EXPECT_THAT(metric_tokens("Don't STOP-me, naïve 19!", TextTokens::kWords), ElementsAre("don", "t", "stop", "me", "na", "ve", "19"));
  EXPECT_THAT(metric_tokens("用 Go\n语。", TextTokens::kCharacters), ElementsAre("用", "g", "o", "语", "。"));
  EXPECT_THAT(metric_tokens(" \n\u3000", TextTokens::kCharacters), ElementsAre());
  EXPECT_EQ(tokens_for("用 C++ 写一个程序"), TextTokens::kCharacters);
  EXPECT_EQ(tokens_for("Write it in 中文."), TextTokens::kWords);
  EXPECT_EQ(tokens_for("привет"), TextTokens::kCharacters);
  EXPECT_EQ(tokens_for("42"), TextTokens::kWords);
}

// All five of the answer's words; of its pairs all but "mat the"; in one order "on the mat".
TEST(Rouge, CountsSharedWordsPairsAndOrder) {
  const auto found = rouge("the cat sat on the mat today", "on the mat the cat");
  expect_overlap(found.rouge_1, 5.0 / 5, 5.0 / 7);
  expect_overlap(found.rouge_2, 3.0 / 4, 3.0 / 6);
  expect_overlap(found.rouge_l, 3.0 / 5, 3.0 / 7);
}

TEST(Rouge, ARepeatedWordIsMetAsOftenAsTheReferenceHasIt) {
  expect_overlap(rouge("the cat", "the the the the").rouge_1, 1.0 / 4, 1.0 / 2);
}

TEST(Rouge, GoesByTheReferencesLanguage) {
  const auto found = rouge("机器学习", "学习 Machine").rouge_l;  // characters: 2 of 9, 2 of 4
  expect_overlap(found, 2.0 / 9, 2.0 / 4);
  EXPECT_EQ(rouge("machine", "机器").rouge_l.f, 0);
  EXPECT_EQ(rouge("", "").rouge_1.f, 0);
}

TEST(Bleu, PartsWordsSignsAndNumbers) {
  EXPECT_THAT(bleu_tokens("It's 3.5% of 1,000 (or so), &quot;1990-91&quot;.", BleuTokens::k13a),
              ElementsAre("It's", "3.5", "%", "of", "1,000", "(", "or", "so", ")", ",", "\"", "1990", "-", "91", "\"", "."));
  EXPECT_THAT(bleu_tokens("共有3.5个人，well-known。", BleuTokens::kZh), ElementsAre("共", "有", "3.5", "个", "人", "，", "well-known", "。"));
}

// 5 of 6 words, 3 of 5 pairs, 1 of 4 threes, no four: 100 / (2 · 3).
TEST(Bleu, OfASentenceByHand) {
  const std::vector<std::string> references{"the cat sat on the mat"};
  const auto stats = bleu_stats("the cat is on the mat", references);
  EXPECT_EQ(stats, (BleuStats{6, 6, {5, 3, 1, 0}, {6, 5, 4, 3}}));
  const auto found = bleu(stats, BleuMean::kEffective);
  EXPECT_NEAR(found.score, 100 * std::pow(5.0 / 6 * 3 / 5 * 1 / 4 / 6, 0.25), kRounding);
}

TEST(Bleu, AShortAnswerPaysAndHasAMeanOfItsOwn) {
  const std::vector<std::string> references{"the cat sat on the mat"};
  const auto stats = bleu_stats("the cat", references);
  EXPECT_NEAR(bleu(stats, BleuMean::kEffective).score, 100 * std::exp(1 - 6.0 / 2), kRounding);
  EXPECT_EQ(bleu(stats, BleuMean::kFour).score, 0);
  EXPECT_EQ(bleu(bleu_stats("", references), BleuMean::kEffective).score, 0);
}

TEST(Bleu, TakesTheNearestReferencesLength) {
  const std::vector<std::string> references{"a b c d e f g h", "a b c d", "x y"};
  EXPECT_EQ(bleu_stats("a b c", references).reference_tokens, 2);  // 2 and 4 are as near
  EXPECT_EQ(bleu_stats("a b c d y", references).reference_tokens, 4);
  EXPECT_EQ(bleu_stats("a b c d y", references).matches[0], 5);
  EXPECT_THAT(message_of<DataError>([] { bleu_stats("a", {}); }), HasSubstr("without a reference"));
}

TEST(Distinct, CountsWithinAnswers) {
  Distinct one(1), two(2);
  for (auto* counter : {&one, &two})
    for (const auto* answer : {"a b a b", "b c", "x"}) counter->add(answer);
  EXPECT_EQ(one.value(), 4.0 / 7);
  EXPECT_EQ(two.value(), 3.0 / 4);
  Distinct parted(2);
  parted.add("ab c");
  parted.add("a bc");
  EXPECT_EQ(parted.value(), 1);
  EXPECT_EQ(Distinct(3).value(), 0);
  EXPECT_THROW(Distinct(0), ConfigError);
}

}  // namespace
}  // namespace herd::test
