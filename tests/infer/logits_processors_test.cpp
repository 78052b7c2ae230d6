// What a text does to the scores of its next token, in closed form. tests/parity/sampling_test.py holds the same against transformers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "infer/logits_processors.h"
#include "infer/prompt.h"
#include "infer/sampler.h"
#include "runtime/base/error.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;
using Scores = std::vector<float>;

constexpr float kBan = -std::numeric_limits<float>::infinity();

Scores processed(const SamplingOptions& options, Scores scores, const Ids& prompt = {}, const Ids& answer = {}, const Ids& ends = {}) {
  LogitsProcessors(options, ends, static_cast<std::int64_t>(scores.size())).apply(scores, prompt, answer);
  return scores;
}

TEST(LogitsProcessors, NoneChangesNothing) { EXPECT_THAT(processed({}, {1, -2, 3}, {0, 1}, {0, 1, 0, 1}, {2}), ElementsAre(1, -2, 3)); }

TEST(LogitsProcessors, ABiasIsAddedWhereItsRunWouldEnd) {
  const SamplingOptions options{.logit_bias = {{{1, 2, 3}, 8}, {{3}, 0.5}, {{2, 3}, -4}, {{0}, kBan}}};
  EXPECT_THAT(processed(options, {1, 1, 1, 1}), ElementsAre(kBan, 1, 1, 1.5));
  EXPECT_THAT(processed(options, {1, 1, 1, 1}, {0}, {2}), ElementsAre(kBan, 1, 1, -2.5));
  EXPECT_THAT(processed(options, {1, 1, 1, 1}, {0, 1}, {2}), ElementsAre(kBan, 1, 1, 5.5));  // over the prompt's end
  // transformers waits for a text as long as the whole run.
  EXPECT_THAT(processed(options, {1, 1, 1, 1}, {1, 2}), ElementsAre(kBan, 1, 1, -2.5));
}

TEST(LogitsProcessors, RepetitionCountsOnceOverPromptAndAnswer) {
  EXPECT_THAT(processed({.repetition_penalty = 2}, {4, -4, 4, -4, 0, kBan}, {0, 1, 0}, {1, 4, 5}), ElementsAre(2, -8, 4, -4, 0, kBan));
  EXPECT_THAT(processed({.repetition_penalty = 0.5}, {4, -4}, {0, 1}), ElementsAre(8, -2));
}

TEST(LogitsProcessors, FrequencyAndPresenceCountTheAnswerAlone) {
  const Ids prompt{0, 0}, answer{3, 1, 3, 3};
  EXPECT_THAT(processed({.frequency_penalty = 0.5}, {1, 1, 1, 1}, prompt, answer), ElementsAre(1, 0.5, 1, -0.5));
  EXPECT_THAT(processed({.presence_penalty = 0.5}, {1, 1, 1, 1}, prompt, answer), ElementsAre(1, 0.5, 1, 0.5));
  EXPECT_THAT(processed({.frequency_penalty = 1, .presence_penalty = -2}, {1, 1, 1, 1}, prompt, answer), ElementsAre(1, 2, 1, 0));
}

TEST(LogitsProcessors, NoNgramComesTwice) {
  const auto banned = [](std::int64_t n, const Ids& prompt, const Ids& answer) {
    const auto scores = processed({.no_repeat_ngram = n}, Scores(5, 0), prompt, answer);
    Ids ids;
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (scores[i] == kBan) ids.push_back(static_cast<TokenId>(i));
    return ids;
  };
  EXPECT_THAT(banned(1, {3, 1}, {3}), ElementsAre(1, 3));
  EXPECT_THAT(banned(2, {0, 1, 0, 2}, {0}), ElementsAre(1, 2));
  EXPECT_THAT(banned(2, {4, 4}, {}), ElementsAre(4));
  EXPECT_THAT(banned(3, {0, 1, 2}, {0, 1}), ElementsAre(2));
  EXPECT_THAT(banned(3, {0, 1, 2}, {1, 1}), ElementsAre());
  for (const std::int64_t longer : {4, 5, 100}) EXPECT_THAT(banned(longer, {1, 1, 1}, {}), ElementsAre()) << longer;
  EXPECT_THAT(banned(3, {1, 1, 1}, {}), ElementsAre(1));
  EXPECT_THAT(banned(std::numeric_limits<std::int64_t>::max(), {1, 1}, {1}), ElementsAre());
  EXPECT_THAT(banned(1, {}, {}), ElementsAre());
}

TEST(LogitsProcessors, BadWordsNeverComeAndAreNoEnd) {
  const SamplingOptions options{.bad_words = {{1}, {1}, {2, 3}, {4}, {2, 4}}};
  EXPECT_THAT(processed(options, Scores(5, 1), {0, 0}, {}, {4}), ElementsAre(1, kBan, 1, 1, 1));
  EXPECT_THAT(processed(options, Scores(5, 1), {0}, {2}, {4}), ElementsAre(1, kBan, 1, kBan, kBan));
  EXPECT_THAT(processed(options, Scores(5, 1), {0, 0}), ElementsAre(1, kBan, 1, 1, kBan));
}

TEST(LogitsProcessors, AnAnswerCannotEndBeforeItsLeastLength) {
  const SamplingOptions options{.min_new_tokens = 2};
  EXPECT_THAT(processed(options, {1, 1, 1}, {0, 0, 0}, {1}, {0, 2, 700}), ElementsAre(kBan, 1, kBan));
  EXPECT_THAT(processed(options, {1, 1, 1}, {0}, {1, 1}, {0, 2}), ElementsAre(1, 1, 1));
}

// Bias 1, then halved, then 0.25 for presence; another order would give another number.
TEST(LogitsProcessors, BiasThenRepetitionThenPresence) {
  const SamplingOptions options{.logit_bias = {{{0}, 1}}, .repetition_penalty = 2, .presence_penalty = 0.25};
  EXPECT_THAT(processed(options, {3, 0}, {}, {0}), ElementsAre(1.75, 0));
}

TEST(LogitsProcessors, WhereAllIsBannedThereIsNoToken) {
  auto scores = processed({.bad_words = {{0}, {1}}, .min_new_tokens = 1}, {1, 2, 3}, {}, {}, {2});
  TokenSampler sampler({});
  EXPECT_THAT(message_of<DataError>([&] { sampler.pick(scores, 0, 0); }), testing::AllOf(HasSubstr("every token is banned"), HasSubstr("bad-word")));
}

TEST(LogitsProcessors, RefusesWhatCannotBeMeant) {
  const auto message = [](const SamplingOptions& options) { return message_of<ConfigError>([&] { LogitsProcessors(options, {}, 10); }); };
  EXPECT_THAT(message({.logit_bias = {{{10}, 1}}}), testing::AllOf(HasSubstr("logit-bias"), HasSubstr("id 10"), HasSubstr("10 tokens")));
  EXPECT_THAT(message({.bad_words = {{1, 12}}}), testing::AllOf(HasSubstr("bad-word"), HasSubstr("id 12")));
  EXPECT_THAT(message({.logit_bias = {{{-1}, 1}}}), HasSubstr("id -1"));
  EXPECT_THAT(message({.logit_bias = {{{3}, 1}, {{3}, 2}}}), testing::AllOf(HasSubstr("id 3"), HasSubstr("second")));
  EXPECT_THAT(message({.logit_bias = {{{3}, -kBan}}}), HasSubstr("-inf to ban"));
  EXPECT_THAT(message({.logit_bias = {{{3}, std::nan("")}}}), HasSubstr("nan"));
  EXPECT_THAT(message({.bad_words = {{}}}), HasSubstr("without ids"));
  EXPECT_THAT(message({.repetition_penalty = 0}), HasSubstr("repetition-penalty"));
  EXPECT_THAT(message({.frequency_penalty = std::nan("")}), HasSubstr("frequency-penalty"));
  EXPECT_THAT(message({.presence_penalty = std::numeric_limits<double>::infinity()}), HasSubstr("presence-penalty"));
  EXPECT_THAT(message({.no_repeat_ngram = -1}), HasSubstr("no-repeat-ngram"));
  EXPECT_THAT(message({.min_new_tokens = -1}), HasSubstr("min-new-tokens"));
}

TEST(WordIds, AWordIsWhatItIsWithinATextWithItsSpacesOrWithout) {
  const auto runs = [](const Tokenizer& tokenizer, const char* word) { return word_ids(PieceEncoder(tokenizer), word); };
  EXPECT_THAT(runs(ByteTokenizer(), "ab"), ElementsAre(Ids{' ', 'a', 'b'}, Ids{'a', 'b'}));
  const WordTokenizer lead, trail(Spaces::kTrail);
  EXPECT_THAT(runs(lead, "mess"), ElementsAre(Ids{*lead.token_to_id(" mess")}, Ids{*lead.token_to_id("mess")}));
  EXPECT_THAT(runs(trail, "mess"),
              ElementsAre(Ids{*trail.token_to_id(" "), *trail.token_to_id("mess")}, Ids{*trail.token_to_id(" "), *trail.token_to_id("mess ")},
                          Ids{*trail.token_to_id("mess")}, Ids{*trail.token_to_id("mess ")}));
  EXPECT_THAT(message_of<ConfigError>([&] { runs(lead, ""); }), HasSubstr("a word that has tokens"));
}

TEST(WordIds, OfRealTokenizers) {
  for (const auto& [name, spaced, bare] : {std::tuple{"llama", "▁mess", "mess"}, {"gpt2", "Ġmess", "mess"}}) {
    HERD_NEED_ASSET(std::string("tokenizers/") + name);
    const auto tokenizer = load_tokenizer(assets() / "tokenizers" / name);
    const auto runs = word_ids(PieceEncoder(*tokenizer), "mess");
    EXPECT_THAT(runs, ElementsAre(Ids{*tokenizer->token_to_id(spaced)}, Ids{*tokenizer->token_to_id(bare)})) << name;
  }
}

}  // namespace
}  // namespace herd::test
