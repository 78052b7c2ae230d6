// Which instructions are nearly the same: the indexes against comparing each with each.
#include "infer/instruct/near.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "infer/metrics/bm25.h"
#include "infer/metrics/rouge.h"
#include "infer/metrics/rouge_index.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "tests/support/errors.h"

namespace herd {
namespace {
using testing::HasSubstr;

/// Texts of few words, many of which are near others: a text, or an earlier one with a word more, less or other.
std::vector<std::string> alike_texts(std::size_t count, std::uint64_t seed, bool chinese) {
  static const std::vector<std::string> kWords{"the",  "a",     "write", "list",    "red", "blue",  "house", "river",
                                               "name", "three", "of",    "explain", "why", "short", "poem"};
  static const std::vector<std::string> kCharacters{"请", "写", "一", "首", "关", "于", "山", "水",
                                                    "的", "诗", "列", "出", "三", "种", "鸟"};
  Random random(seed, 0);
  const auto& words = chinese ? kCharacters : kWords;
  const auto word = [&] { return words[random.below(words.size())]; };
  std::vector<std::vector<std::string>> texts;
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::string> text;
    if (i > 0 && random.below(2) == 0) {
      text = texts[random.below(i)];
      if (!text.empty()) text[random.below(text.size())] = word();
      if (random.below(2) == 0) text.insert(text.begin() + static_cast<std::ptrdiff_t>(random.below(text.size() + 1)), word());
    } else {
      for (auto length = random.below(14); length > 0; --length) text.push_back(word());
    }
    texts.push_back(text);
  }
  std::vector<std::string> out;
  for (const auto& text : texts) {
    out.emplace_back();
    for (const auto& piece : text) out.back() += piece + (chinese ? "" : " ");
  }
  return out;
}

/// What the index finds at every text, against rouge() of it with each that stayed.
void expect_as_each_with_each(const std::vector<std::string>& texts, double bound) {
  RougeIndex index(bound);
  std::vector<std::string> stayed;
  std::size_t found = 0;
  for (const auto& text : texts) {
    std::optional<LikeText> expected;
    for (std::size_t i = 0; i < stayed.size(); ++i)
      if (const auto score = rouge(stayed[i], text).rouge_l.f; score > (expected ? expected->score : bound))
        expected = {static_cast<std::uint32_t>(i), score};
    const auto like = index.earlier(text);
    ASSERT_EQ(like.has_value(), expected.has_value()) << text;
    if (like) {
      EXPECT_EQ(like->number, expected->number) << text;
      EXPECT_DOUBLE_EQ(like->score, expected->score) << text;
      ++found;
    } else {
      stayed.push_back(text);
    }
  }
  EXPECT_GT(found, texts.size() / 40);
  EXPECT_EQ(index.size(), stayed.size());
}

TEST(RougeIndex, FindsWhatComparingEachWithEachFinds) {
  for (const bool chinese : {false, true})
    for (const double bound : {0.0, 0.3, 0.5, 0.7, 0.75, 0.95}) expect_as_each_with_each(alike_texts(300, chinese ? 7 : 8, chinese), bound);
}

TEST(RougeIndex, TheBoundItselfIsNotAbove) {
  // Of 4 and 4 tokens 3 in common in order: 2·3 / 8.
  RougeIndex at(0.75), below(0.749);
  at.add("name three red birds");
  below.add("name three red birds");
  EXPECT_FALSE(at.earlier("name three red fishes"));
  EXPECT_DOUBLE_EQ(below.earlier("name three red fishes").value().score, 0.75);
}

TEST(RougeIndex, ComparesFewPairs) {
  RougeIndex index(0.7);
  for (const auto& text : alike_texts(2000, 9, false)) index.earlier(text);
  const auto pairs = static_cast<std::int64_t>(index.size() * index.size() / 2);
  EXPECT_LT(index.compared(), pairs / 10);
}

TEST(RougeIndex, RefusesABoundThatNothingIsAbove) {
  for (const double bound : {-0.1, 1.0, std::nan("")})
    EXPECT_THAT(test::message_of<ConfigError>([&] { RougeIndex index(bound); }), HasSubstr("--rouge"));
}

TEST(Bm25Index, IsTheFormula) {
  // Three texts; of the question "b", n = 1 of N = 3: idf = ln(2.5 / 1.5). Of "a", n = 2: ln(1.5 / 2.5) < 0, so a quarter of the mean idf.
  Bm25Index index;
  for (const auto* text : {"a b", "a c c", "d"}) index.add(text);
  const double rare = std::log(2.5 / 1.5), mean = (std::log(1.5 / 2.5) + 3 * rare) / 4, length = 2;
  const auto part = [&](double count, double tokens) { return count * 2.5 / (count + 1.5 * (0.25 + 0.75 * tokens / length)); };
  const auto scores = index.scores("B a, c! unknown c");
  EXPECT_NEAR(scores[0], rare * part(1, 2) + 0.25 * mean * part(1, 2), 1e-12);
  EXPECT_NEAR(scores[1], 0.25 * mean * part(1, 3) + 2 * rare * part(2, 3), 1e-12);
  EXPECT_EQ(scores[2], 0);
}

TEST(Bm25Index, KeepsWhatIsAboveItsBoundOut) {
  Bm25Index index(1);
  for (const auto* text : {"a b c", "d e f", "g h i", "j k l"}) EXPECT_FALSE(index.earlier(text)) << text;
  EXPECT_EQ(index.earlier("d e").value().number, 1);
  EXPECT_EQ(index.size(), 4);
  EXPECT_FALSE(index.earlier("m n o"));
  EXPECT_EQ(index.size(), 5);
  EXPECT_FALSE(Bm25Index(1).earlier("of nothing yet"));
}

TEST(NearInstructions, EachMeasureFindsACopy) {
  const std::string text = "Explain in a few words why the sky over the sea is blue at noon.";
  for (const auto bound :
       {NearBound{NearBound::By::kRouge, 0.7}, NearBound{NearBound::By::kBm25, 5}, NearBound{NearBound::By::kSketch, 0.8}}) {
    NearInstructions near(bound);
    for (int i = 0; i < 30; ++i)
      near.add("Something else of number " + std::to_string(i * 1234567) + " altogether, for example " +
               std::string(static_cast<std::size_t>(i + 1), 'x'));
    EXPECT_FALSE(near.earlier("List two animals.")) << bound.text();
    EXPECT_FALSE(near.earlier(text)) << bound.text();
    EXPECT_TRUE(near.earlier(text)) << bound.text();
  }
  NearInstructions off({NearBound::By::kOff, 0});
  EXPECT_FALSE(off.earlier(text));
  EXPECT_FALSE(off.earlier(text));
}

}  // namespace
}  // namespace herd
