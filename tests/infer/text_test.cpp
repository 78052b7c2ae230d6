// From logits to a token and from tokens to the text that is shown: closed forms, and statistics over fixed seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "infer/sampler.h"
#include "infer/stop.h"
#include "infer/text_stream.h"
#include "runtime/base/error.h"
#include "tests/data/small_tokenizers.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

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
  EXPECT_THAT(message({.top_k = 5}), HasSubstr("add a temperature"));
  for (const double temperature : {0.0, 1.0}) {
    TokenSampler sampler({.temperature = temperature});
    EXPECT_THROW(sampler.pick(std::vector<float>{0, std::nanf(""), 1}, 0, 0), DataError);
    EXPECT_THROW(sampler.pick(std::vector<float>{0, kInfinity}, 0, 0), DataError);
    EXPECT_THROW(sampler.pick(std::vector<float>{-kInfinity, -kInfinity}, 0, 0), DataError);
    EXPECT_THROW(sampler.pick(std::vector<float>{}, 0, 0), DataError);
  }
}

/// The text of `pieces` as it would be shown, with `|` between what came in turn.
std::string shown(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(std::move(stops));
  std::string out;
  for (const auto& piece : pieces) out += matcher.push(piece) + "|";
  return out + matcher.finish() + (matcher.stopped() ? "!" : "");
}

TEST(StopMatcher, HoldsBackWhatMayBeginAStop) {
  EXPECT_EQ(shown({}, {"ab", "c"}), "ab|c|");
  EXPECT_EQ(shown({"END"}, {"abE", "N", "Dxyz", "more"}), "ab||||!");
  EXPECT_EQ(shown({"END"}, {"abE", "N", "x", "EN"}), "ab||ENx||EN");
  EXPECT_EQ(shown({"END"}, {"aENEND"}), "aEN|!");
  EXPECT_EQ(shown({"aab"}, {"aa", "a", "b"}), "|a||!");            // the beginning moves along
  EXPECT_EQ(shown({"abcd", "bc"}, {"abcd"}), "a|!");              // complete first, however the text is cut
  EXPECT_EQ(shown({"abcd", "bc"}, {"a", "b", "c", "d"}), "||a||!");
  EXPECT_EQ(shown({"bc", "abc"}, {"xabc"}), "x|!");
  EXPECT_EQ(shown({"。"}, {"好", "的。"}), "好|的|!");
  EXPECT_THROW(StopMatcher({""}), ConfigError);
}

// Whatever the pieces, the text and the verdict are those of a search over the whole text.
TEST(StopMatcher, DoesNotDependOnThePieces) {
  const std::string text = "aababbabaabbbabab";
  for (const std::string stop : {"abb", "bab", "aabb", "zz"}) {
    const auto at = text.find(stop);
    const auto expected = at == text.npos ? text : text.substr(0, at);
    for (std::size_t size = 1; size <= text.size(); ++size) {
      StopMatcher matcher({stop});
      std::string out;
      for (std::size_t i = 0; i < text.size(); i += size) out += matcher.push(text.substr(i, size));
      out += matcher.finish();
      EXPECT_EQ(out, expected) << stop << " in pieces of " << size;
      EXPECT_EQ(matcher.stopped(), at != text.npos);
    }
  }
}

std::unique_ptr<Tokenizer> tokenizer(const Json& form) {
  const Scratch folder;
  write_file(folder / "tokenizer.json", form.dump());
  return load_tokenizer(folder.path());
}

std::string streamed(TextStream& stream, const std::vector<TokenId>& ids) {
  std::string out;
  for (const auto id : ids) out += stream.push(id) + "|";
  return out + stream.finish();
}

TEST(TextStream, ContinuesThePromptsText) {
  // ids of llama_form(): ▁a 263, ▁ 259, b 261. Alone, "▁a" decodes to "a"; after a prompt it is " a".
  const auto llama = tokenizer(llama_form());
  const auto prompt = llama->encode("ab");
  TextStream stream(*llama, prompt, {});
  EXPECT_EQ(streamed(stream, {263, 261}), " a|b|");
  EXPECT_EQ(stream.text(), " ab");
  // A prompt that ends in a byte token is still held by the decoder when the answer begins: it is not part of the answer.
  const auto line = llama->encode("ab\n");
  ASSERT_EQ(line.back(), 3 + '\n');
  TextStream after_line(*llama, line, {});
  EXPECT_EQ(streamed(after_line, {260, 261}), "a|b|");
  TextStream lines(*llama, line, {"\n"});
  EXPECT_EQ(streamed(lines, {260, 3 + '\n', 260}), "a|||");  // a run of bytes is known when it has ended
  EXPECT_TRUE(lines.stopped());
}

TEST(TextStream, ShowsWholeCharacters) {
  const auto gpt2 = tokenizer(gpt2_form());  // the three bytes of 你: 7 8 9
  TextStream stream(*gpt2, gpt2->encode("hi"), {});
  EXPECT_EQ(streamed(stream, {4, 7, 8, 9, 0}), " hi|||你|h|");
  TextStream broken(*gpt2, gpt2->encode("hi"), {});
  EXPECT_EQ(streamed(broken, {7, 8}), "||\xEF\xBF\xBD");  // cut off: what the tokenizer decodes it to
  const auto llama = tokenizer(llama_form());
  TextStream bytes(*llama, llama->encode("a"), {});
  EXPECT_EQ(streamed(bytes, {3 + 0xE4, 3 + 0xBD, 3 + 0xA0, 260}), "|||你a|");
}

TEST(TextStream, TakesTheTemplatesSeparatorOff) {
  const ByteTokenizer letters;
  const auto output = [](std::string_view text) { return std::string(text.starts_with(' ') ? text.substr(1) : text); };
  TextStream stream(letters, letters.encode("Q:", true), {"\n#"}, output);
  EXPECT_EQ(streamed(stream, letters.encode("  5 \n#", false)), "| |5| |||");
  EXPECT_EQ(stream.text(), " 5 ");
  TextStream empty(letters, letters.encode("Q:", true), {}, output);
  EXPECT_EQ(streamed(empty, letters.encode(" ", false)), "|");
}

}  // namespace
}  // namespace herd::test
