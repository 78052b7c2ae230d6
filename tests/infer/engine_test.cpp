// Generation over cached keys and values against the plain way: the whole text through the model again for every token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "infer/engine.h"
#include "infer/kv_texts.h"
#include "runtime/base/error.h"
#include "models/model_options.h"
#include "models/registry.h"
#include "peft/registry.h"
#include "tests/support/errors.h"
#include "tests/support/letters.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

std::vector<Prompt> prompts(std::initializer_list<int> lengths) {
  std::vector<Prompt> out;
  Random random(5, 0);
  for (const auto length : lengths) {
    Prompt prompt;
    for (int i = 0; i < length; ++i) prompt.ids.push_back(static_cast<TokenId>(random.below(kToyVocab)));
    out.push_back(prompt);
  }
  return out;
}

Tensor last_logits(CausalLm& model, const std::vector<TokenId>& ids) {
  const at::NoGradGuard no_grad;
  return model.logits(plain_batch({std::vector<std::int64_t>(ids.begin(), ids.end())}))[0][-1].to(at::kFloat);
}

std::vector<TokenId> greedy_without_cache(CausalLm& model, std::vector<TokenId> ids, int count) {
  const auto start = static_cast<std::ptrdiff_t>(ids.size());
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<TokenId>(last_logits(model, ids).argmax().item<std::int64_t>()));
  return {ids.begin() + start, ids.end()};
}

std::vector<Request> requests(const std::vector<Prompt>& prompts, const GenerationOptions& options) {
  std::vector<Request> out;
  for (const auto& prompt : prompts) out.push_back({.prompt = prompt, .options = options});
  return out;
}

std::vector<Generation> generate(CausalLm& model, const std::vector<Prompt>& prompts, const GenerationOptions& options, EngineOptions engine_options = {},
                                 std::vector<TokenId> eos = {}) {
  const Letters letters;
  Engine engine(model, letters, std::move(eos), engine_options);
  return generate(engine, requests(prompts, options));
}

struct Variant {
  const char* what;
  nlohmann::json changes;
};

std::vector<Variant> variants() {
  const nlohmann::json llama3{
      {"rope_type", "llama3"}, {"factor", 4}, {"low_freq_factor", 1}, {"high_freq_factor", 4}, {"original_max_position_embeddings", 32}};
  return {{"grouped queries, tied", nlohmann::json::object()},
          {"no groups, untied, biases",
           {{"num_key_value_heads", 4}, {"tie_word_embeddings", false}, {"attention_bias", true}, {"mlp_bias", true}}},
          {"one key head", {{"num_key_value_heads", 1}}},
          {"wide heads", {{"head_dim", 16}}},
          {"linear", {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2}}}}},
          {"dynamic", {{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}}}}},
          {"llama3", {{"rope_scaling", llama3}}}};
}

TEST(Generate, GreedyWithTheCacheIsGreedyWithoutIt) {
  for (const auto& [what, changes] : variants()) {
    SCOPED_TRACE(what);
    const auto model = toy_model(3, changes);
    const auto given = prompts({5, 1, 17, 3, 9});
    for (const std::int64_t side_by_side : {1, 3, 8}) {
      const auto found = generate(*model, given, {.max_new_tokens = 24}, {.batch_size = side_by_side});
      ASSERT_EQ(found.size(), given.size());
      for (std::size_t i = 0; i < given.size(); ++i) {
        EXPECT_EQ(found[i].ids, greedy_without_cache(*model, given[i].ids, 24))
            << "prompt " << i << ", " << side_by_side << " side by side";
        EXPECT_EQ(found[i].finish, FinishReason::kLength);
      }
    }
  }
}

/// A small model of a family, perhaps with virtual tokens or prefixes, and prompts for it. ChatGLM's end as it wants them, each with a place of its own for
/// its mask.
struct Small {
  std::unique_ptr<CausalLm> model;
  std::vector<Prompt> prompts;
};
Small small_of(const std::string& family, const std::string& method, int window, std::initializer_list<int> lengths) {
  ModelOptions options{.family = family};
  options.config = shape_of_family(family, {.hidden_size = 32, .intermediate_size = 40, .num_hidden_layers = 2, .num_attention_heads = 4,
                                            .num_key_value_heads = 2, .max_position_embeddings = 64, .sliding_window = window, .initializer_range = 0.3});
  auto config = hub_config(options, kToyVocab);
  Small small{nullptr, prompts(lengths)};
  if (family == "chatglm") {
    config.update({{"bos_token_id", kToyVocab - 1}, {"gmask_token_id", kToyVocab - 4}});
    for (auto& prompt : small.prompts) {
      for (auto& id : prompt.ids) id %= kToyVocab - 5;
      prompt.ids.insert(prompt.ids.end(), {kToyVocab - 4, kToyVocab - 1});
    }
  }
  small.model = make_model(config);
  materialise(*small.model, at::kFloat);
  initialise(*small.model, 3);
  if (method != "none") attach(*small.model, {.method = method, .num_virtual_tokens = 5}, 4);
  return small;
}

// Of every family: what stands before a text is in its cache once, and its place may be another's afterwards.
TEST(Generate, EveryFamilyIsTheSameWithItsCache) {
  for (const auto& name : families().names())
    for (const auto* method : {"none", "prompt", "prefix"}) {
      const auto [model, some] = small_of(name, method, method == std::string("none") ? 3 : 7, {3, 9, 5});
      const auto found = generate(*model, some, {.max_new_tokens = 12}, {.batch_size = 2});
      for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(found[i].ids, greedy_without_cache(*model, some[i].ids, 12)) << name << ", " << method << " " << i;
    }
}

// bf16 rounds a product of another height differently: the chosen token must be the best one up to that rounding, whose unit is 2^-8 of
// logits below 4.
TEST(Generate, Bf16ChoosesTheBestUpToItsRounding) {
  const auto model = toy_model(3, {{"initializer_range", 0.1}}, at::kBFloat16);
  const auto given = prompts({7, 2});
  const auto found = generate(*model, given, {.max_new_tokens = 20}, {.batch_size = 2});
  for (std::size_t i = 0; i < given.size(); ++i) {
    auto ids = given[i].ids;
    for (const auto id : found[i].ids) {
      const auto logits = last_logits(*model, ids);
      EXPECT_LT(logits.abs().max().item<float>(), 4);
      EXPECT_GE(logits[id].item<float>(), logits.max().item<float>() - 0.06f);
      ids.push_back(id);
    }
  }
}

// The cache grows past its first 64 places while other texts hold more than a new prompt needs; texts leave and others take their slots.
TEST(Generate, TextsComeAndGoWhileTheCacheGrows) {
  const auto model = toy_model(4, {{"max_position_embeddings", 256}});
  const auto given = prompts({60, 3, 40, 65, 1, 90, 64, 63});
  const auto whole = generate(*model, given, {.max_new_tokens = 70}, {.batch_size = 1});
  // An id that some texts write early, others late or never: they end at different times.
  const TokenId eos = whole[1].ids[5];
  const auto found = generate(*model, given, {.max_new_tokens = 70}, {.batch_size = 3}, {eos});
  int ended = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto expected = greedy_without_cache(*model, given[i].ids, 70);
    const auto end = std::find(expected.begin(), expected.end(), eos);
    EXPECT_EQ(found[i].ids, std::vector<TokenId>(expected.begin(), end)) << i;
    EXPECT_EQ(found[i].finish, end == expected.end() ? FinishReason::kLength : FinishReason::kEos);
    ended += end != expected.end();
  }
  EXPECT_GT(ended, 0);
}

TEST(Generate, SampledTextsDoNotDependOnTheirCompany) {
  const auto model = toy_model(3);
  const auto given = prompts({4, 9, 2, 6});
  GenerationOptions options{
      .sampling = {.temperature = 0.8, .top_k = 20, .top_p = 0.95, .seed = 11}, .max_new_tokens = 30};
  const auto alone = generate(*model, given, options, {.batch_size = 1});
  const auto together = generate(*model, given, options, {.batch_size = 4});
  options.sampling.seed = 12;
  const auto other = generate(*model, given, options);
  int same = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(alone[i].ids, together[i].ids);
    same += alone[i].ids == other[i].ids;
  }
  EXPECT_EQ(same, 0);
  // The same prompt twice is two texts.
  const auto twice = generate(*model, {given[0], given[0]}, options);
  EXPECT_NE(twice[0].ids, twice[1].ids);
}

TEST(Generate, StopsAtTextAndTellsWhatItShows) {
  const auto model = toy_model(3);
  const auto given = prompts({5, 8});
  const auto whole = generate(*model, given, {.max_new_tokens = 24});
  const auto stop = whole[0].text.substr(3, 3);  // three tokens
  const auto at = whole[0].text.find(stop);
  const Letters letters;
  std::vector<std::string> told(2), at_end(2);
  Engine engine(*model, letters, {}, {});
  auto wanted = requests(given, {.max_new_tokens = 24, .stop = {"never", stop}});
  for (std::size_t i = 0; i < 2; ++i) {
    wanted[i].on_text = [&told, i](std::string_view text, const Generation&) { told[i] += text; };
    wanted[i].on_done = [&at_end, i](const Generation& g) { at_end[i] = g.text; };
  }
  const auto found = generate(engine, wanted);
  EXPECT_EQ(found[0].text, whole[0].text.substr(0, at));
  EXPECT_EQ(found[0].finish, FinishReason::kStop);
  EXPECT_EQ(found[0].ids.size(), at + 3);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(told[i], found[i].text);
    EXPECT_EQ(at_end[i], found[i].text);
  }
}

TEST(Generate, TheContextIsALimit) {
  const auto model = toy_model(3, {{"max_position_embeddings", 32}});
  const auto found = generate(*model, prompts({20, 31}), {.max_new_tokens = 100});
  EXPECT_EQ(found[0].ids.size(), 12u);
  EXPECT_EQ(found[0].finish, FinishReason::kContext);
  EXPECT_EQ(found[1].ids, greedy_without_cache(*model, prompts({20, 31})[1].ids, 1));
  EXPECT_THAT(message_of<DataError>([&] { generate(*model, prompts({3, 32}), {}); }),
              testing::AllOf(HasSubstr("prompt 2"), HasSubstr("32 tokens"), HasSubstr("at most 31"), HasSubstr("context of 32")));
  EXPECT_THROW(generate(*model, {Prompt{}}, {}), DataError);
  EXPECT_THROW(generate(*model, {Prompt{.ids = {1, kToyVocab}}}, {}), DataError);
  EXPECT_THROW(generate(*model, {Prompt{.ids = {1, -100}}}, {}), DataError);
  EXPECT_THROW(generate(*model, prompts({1}), {.max_new_tokens = 0}), ConfigError);
}

// Past the trained length dynamic RoPE turns new positions faster than those in the cache, as transformers does: the first new token, which
// sees a whole prompt at one speed, equals the plain way; company changes nothing.
TEST(Generate, DynamicRopeGoesOnPastTheTrainedLength) {
  const auto model = toy_model(3, {{"max_position_embeddings", 16}, {"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 3}}}});
  EXPECT_EQ(model->facts.max_positions, 48);
  const auto given = prompts({6, 30, 20});
  const auto together = generate(*model, given, {.max_new_tokens = 40}, {.batch_size = 3});
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(together[i].ids[0], greedy_without_cache(*model, given[i].ids, 1)[0]);
    EXPECT_EQ(together[i].ids, generate(*model, {given[i]}, {.max_new_tokens = 40})[0].ids);
    EXPECT_EQ(together[i].finish, together[i].ids.size() == 40 ? FinishReason::kLength : FinishReason::kContext);
  }
}

TEST(Generate, LeavesTrainingAsItWas) {
  const auto model = toy_model(3);
  model->random->training = true;
  generate(*model, prompts({3}), {.max_new_tokens = 2});
  EXPECT_TRUE(model->random->training);
  EXPECT_TRUE(at::GradMode::is_enabled());
  EXPECT_THROW(generate(*model, prompts({3}), {.max_new_tokens = 0}), ConfigError);
  EXPECT_TRUE(model->random->training);
}

// A prompt read in pieces, of any size, behind everything a family puts before and between its tokens.
TEST(Engine, PromptsInChunksAreTheWhole) {
  for (const auto& name : families().names())
    for (const auto* method : {"none", "prompt", "prefix"}) {
      const auto [model, some] = small_of(name, method, 6, {13, 1, 22, 8});
      for (const std::int64_t chunk : {1, 4, 7}) {
        const auto found = generate(*model, some, {.max_new_tokens = 12}, {.batch_size = 3, .prefill_chunk = chunk});
        for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(found[i].ids, greedy_without_cache(*model, some[i].ids, 12)) << name << ", " << method << ", by " << chunk << ", text " << i;
      }
    }
}

// Turns of two chats in turn, each beginning as the one before it; then one that parts from it early.
TEST(Engine, WhatWasKeptOfATextIsItsBeginning) {
  for (const std::string family : {"llama", "bloom"})
    for (const std::string method : {"none", "prompt", "prefix"}) {
      SCOPED_TRACE(family + ", " + method);
      auto [model, chats] = small_of(family, method, 7, {20, 24});
      const Letters letters;
      Engine engine(*model, letters, {}, {.batch_size = 2, .prefill_chunk = 8, .kept_texts = 2});
      for (int turn = 0; turn < 3; ++turn) {
        const auto before = engine.prompt_tokens_read();
        const auto found = generate(engine, requests(chats, {.max_new_tokens = 4}));
        // What a turn adds, and the last token that was generated: it has no keys and values.
        EXPECT_EQ(engine.prompt_tokens_read() - before, turn == 0 ? 20 + 24 : turn == 1 ? 2 * 4 : 2 * 4 + 12 + 16) << "turn " << turn;
        for (std::size_t i = 0; i < chats.size(); ++i) {
          EXPECT_EQ(found[i].ids, greedy_without_cache(*model, chats[i].ids, 4)) << "turn " << turn;
          auto& ids = chats[i].ids;
          ids.insert(ids.end(), found[i].ids.begin(), found[i].ids.end());
          if (turn == 1) ids[18] = (ids[18] + 1) % kToyVocab;
          ids.insert(ids.end(), {3, static_cast<TokenId>(turn), 5});
        }
      }
    }
}

// It is read alone, so that it is sure whose fault it is; another one goes on.
TEST(Engine, AFaultOfAPromptIsToldToItsListener) {
  auto [model, some] = small_of("chatglm", "none", 0, {4, 6});
  some[0].ids.erase(some[0].ids.end() - 2);  // no [gMASK] before its sop
  const Letters letters;
  Engine engine(*model, letters, {}, {});
  auto wanted = requests(some, {.max_new_tokens = 5});
  std::string told;
  wanted[0].on_error = [&told](const std::exception& error) { told += error.what(); };
  const auto found = generate(engine, wanted);
  EXPECT_THAT(told, HasSubstr("[gMASK]"));
  EXPECT_TRUE(found[0].ids.empty());
  EXPECT_EQ(found[1].ids, greedy_without_cache(*model, some[1].ids, 5));

  wanted[0].on_error = {};
  EXPECT_THROW(generate(engine, wanted), Error);
  EXPECT_FALSE(engine.step()) << "whoever asked for them is gone";
  EXPECT_EQ(generate(engine, {wanted[1]})[0].ids, found[1].ids);
}

TEST(Engine, ARequestMayComeAndGoWhileOthersGrow) {
  const auto model = toy_model(3);
  const Letters letters;
  const auto given = prompts({5, 8, 3});
  Engine engine(*model, letters, {}, {.batch_size = 2});
  std::vector<Generation> done(3);
  const auto request = [&](std::size_t i) {
    return Request{.prompt = given[i], .options = {.max_new_tokens = 20}, .on_done = [&done, i](const Generation& g) { done[i] = g; }};
  };
  engine.add(request(0));
  const auto left = engine.add(request(1));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(engine.step());
  engine.add(request(2));
  EXPECT_EQ(engine.waiting(), 1u);
  engine.cancel(left);
  engine.cancel(left);
  engine.step();
  EXPECT_EQ(engine.waiting(), 0u);
  EXPECT_EQ(engine.growing(), 2u);
  while (engine.step()) {}
  EXPECT_TRUE(done[1].ids.empty());
  for (const std::size_t i : {0, 2}) EXPECT_EQ(done[i].ids, greedy_without_cache(*model, given[i].ids, 20));
}

TEST(Engine, AListenerMayCancelAnotherTextAndItself) {
  const auto model = toy_model(3);
  const Letters letters;
  const auto given = prompts({5, 8});
  Engine engine(*model, letters, {}, {});
  int told = 0, ended = 0;
  std::vector<Engine::Id> ids;
  for (const auto& prompt : given)
    ids.push_back(engine.add({.prompt = prompt, .options = {.max_new_tokens = 20}, .on_text = [&](std::string_view, const Generation&) {
                                if (++told == 3)
                                  for (const auto id : ids) engine.cancel(id);
                              }, .on_done = [&](const Generation&) { ++ended; }}));
  while (engine.step()) {}
  EXPECT_EQ(told, 3);
  EXPECT_EQ(ended, 0);
}

// Each request under the settings of its own.
TEST(Engine, RequestsOfDifferentSettingsSideBySide) {
  const auto model = toy_model(3);
  const Letters letters;
  const auto given = prompts({5, 8, 4});
  const std::vector<GenerationOptions> options{{.max_new_tokens = 12}, {.sampling = {.temperature = 0.9, .seed = 4}, .max_new_tokens = 20}, {.sampling = {.no_repeat_ngram = 1}, .max_new_tokens = 9, .log_probs = 2}};
  Engine engine(*model, letters, {}, {});
  std::vector<Request> wanted;
  for (std::size_t i = 0; i < 3; ++i) wanted.push_back({.prompt = given[i], .options = options[i]});
  for (auto& request : wanted) request.prompt.number = 7;
  const auto together = generate(engine, wanted);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(together[i].ids, generate(engine, {wanted[i]})[0].ids) << i;
  const auto& told = together[2].log_probs;
  ASSERT_EQ(told.size(), 9u);
  EXPECT_TRUE(together[0].log_probs.empty());
  auto ids = given[2].ids;
  for (const auto& at : told) {
    const auto whole = at::log_softmax(last_logits(*model, ids), -1);
    EXPECT_NEAR(at.chosen.log_prob, whole[at.chosen.id].item<double>(), 1e-4);
    EXPECT_EQ(at.top[0].id, whole.argmax().item<std::int64_t>());
    ids.push_back(at.chosen.id);
  }
}

// Beside other texts, in chunks, and with a text's own beams parting and meeting: the same as alone.
TEST(Engine, ASearchIsTheSameInAnyCompany) {
  const auto model = toy_model(3);
  const Letters letters;
  const auto given = prompts({9, 5, 12, 3});
  const GenerationOptions greedy{.max_new_tokens = 20}, search{.beam = {.beams = 3, .length_penalty = 0.5, .returned = 2}, .max_new_tokens = 14},
      drawn{.sampling = {.temperature = 1.2, .top_k = 12, .seed = 5}, .beam = {.beams = 2}, .max_new_tokens = 14};
  std::vector<Request> wanted;
  for (std::size_t i = 0; i < 4; ++i) wanted.push_back({.prompt = given[i], .options = i == 0 ? greedy : i == 3 ? drawn : search});
  for (auto& request : wanted) request.prompt.number = 4;
  std::vector<Generation> alone;
  for (const auto& request : wanted) {
    Engine engine(*model, letters, {4}, {});
    alone.push_back(generate(engine, {request})[0]);
  }
  for (const std::int64_t batch_size : {1, 4, 12}) {
    Engine engine(*model, letters, {4}, {.batch_size = batch_size, .prefill_chunk = 4});
    std::vector<std::string> shown(4);
    auto again = wanted;
    for (std::size_t i = 0; i < 4; ++i) again[i].on_text = [&shown, i](std::string_view text, const Generation&) { shown[i] += text; };
    const auto together = generate(engine, again);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(together[i].ids, alone[i].ids) << batch_size << " side by side, text " << i;
      EXPECT_EQ(together[i].finish, alone[i].finish);
      EXPECT_EQ(shown[i], together[i].text);
      ASSERT_EQ(together[i].others.size(), i == 1 || i == 2 ? 1u : 0u);
      for (std::size_t n = 0; n < together[i].others.size(); ++n) {
        EXPECT_EQ(together[i].others[n].ids, alone[i].others[n].ids);
        EXPECT_GE(*together[i].score, *together[i].others[n].score);
      }
    }
  }
}

// Of two texts drawn from one distribution without putting back: the first is one of the two most often the likelier, each pair as often as its probability says.
TEST(BeamSearch, DrawsWithoutPuttingBack) {
  const std::vector<double> p{0.5, 0.3, 0.15, 0.05};
  std::vector<float> scores;
  for (const auto x : p) scores.push_back(static_cast<float>(std::log(x)));
  const SamplingOptions sampling{.temperature = 1, .seed = 3};
  TokenSampler sampler(sampling, 2);
  std::map<std::pair<TokenId, TokenId>, int> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    BeamSearch search({.beams = 2}, 5, 0);
    std::vector<BeamSearch::Candidate> candidates;
    search.offer(0, scores, sampler, sampling, static_cast<std::uint64_t>(i), candidates);
    std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.key > b.key; });
    ++counts[{candidates[0].id, candidates[1].id}];
  }
  double chi_square = 0;
  for (TokenId a = 0; a < 4; ++a)
    for (TokenId b = 0; b < 4; ++b) {
      if (a == b) continue;
      const auto expected = kDraws * p[static_cast<std::size_t>(a)] * p[static_cast<std::size_t>(b)] / (1 - p[static_cast<std::size_t>(a)]);
      chi_square += (counts[{a, b}] - expected) * (counts[{a, b}] - expected) / expected;
    }
  EXPECT_LT(chi_square, 31.3) << "11 degrees of freedom, one in a thousand";
}

// In eight bits: greedy up to what rounding keys and values to 1 in 254 moves, with beams and kept texts; the same in any company, for each is rounded by itself.
TEST(Engine, KeysAndValuesInEightBits) {
  const auto model = toy_model(3);
  const Letters letters;
  const auto given = prompts({5, 17, 30});
  const GenerationOptions greedy{.max_new_tokens = 20}, search{.beam = {.beams = 3}, .max_new_tokens = 8};
  std::vector<std::vector<TokenId>> alone;
  for (const auto& prompt : given) {
    Engine engine(*model, letters, {}, {.kept_texts = 2, .int8_kv = true});
    alone.push_back(generate(engine, requests({prompt}, greedy))[0].ids);
    auto ids = prompt.ids;
    for (const auto id : alone.back()) {
      const auto logits = last_logits(*model, ids);
      EXPECT_GE(logits[id].item<float>(), logits.max().item<float>() - 0.02f * logits.abs().max().item<float>());
      ids.push_back(id);
    }
    const auto read = engine.prompt_tokens_read();
    EXPECT_EQ(generate(engine, requests({prompt}, search))[0].ids.size(), 8u);
    EXPECT_EQ(engine.prompt_tokens_read() - read, prompt.ids.size() > 16 ? 1 : 5) << "a kept text is its beginning";
  }
  Engine engine(*model, letters, {}, {.int8_kv = true});
  const auto together = generate(engine, requests(given, greedy));
  for (std::size_t i = 0; i < given.size(); ++i) EXPECT_EQ(together[i].ids, alone[i]) << i;
}

TEST(KvTexts, GrowInChunksUpToTheContextAndKeepWhatIsThere) {
  const auto model = toy_model(1, {{"max_position_embeddings", 150}});
  KvTexts texts(*model, at::kFloat, at::kCPU, 0);
  auto text = texts.begin({1, 2, 3}, {});
  const auto capacity = [&] { return text.keys[1].capacity(); };
  texts.reserve(text, 10);
  EXPECT_EQ(capacity(), 64);
  text.keys[1].numbers.fill_(7);
  text.length = 10;
  texts.reserve(text, 65);
  EXPECT_EQ(capacity(), 128);
  EXPECT_TRUE(text.keys[1].numbers.narrow(0, 0, 10).eq(7).all().item<bool>());
  texts.reserve(text, 129);
  EXPECT_EQ(capacity(), 150);
}

TEST(KvTexts, KeepTheNewestAndGiveEachOnce) {
  const auto model = toy_model(1, {{"max_position_embeddings", 150}});
  KvTexts texts(*model, at::kFloat, at::kCPU, 2);
  std::vector<TokenId> ids(40);
  const auto keep = [&](TokenId first, std::optional<std::size_t> adapter) {
    ids[0] = first;
    KvText text;
    texts.reserve(text, 40);
    text.length = 40;
    texts.end(text, ids, adapter);
  };
  for (const TokenId first : {1, 2, 3}) keep(first, {});
  EXPECT_EQ(texts.kept(), 2u);
  ids[0] = 1;
  EXPECT_EQ(texts.begin(ids, {}).length, 0) << "the oldest went";
  ids[0] = 2;
  EXPECT_EQ(texts.begin(ids, 0).length, 0) << "another adapter's";
  EXPECT_EQ(texts.begin(ids, {}).length, 39) << "the last token is read again, for what follows it";
  EXPECT_EQ(texts.begin(ids, {}).length, 0) << "given already";
}

TEST(KvTexts, AShortBeginningIsCopiedAndTheTextKept) {
  const auto model = toy_model(1, {{"max_position_embeddings", 150}});
  KvTexts texts(*model, at::kFloat, at::kCPU, 2);
  std::vector<TokenId> ids(90), other(90);
  for (std::size_t i = 0; i < 90; ++i) ids[i] = static_cast<TokenId>(i % 29), other[i] = i < 20 ? ids[i] : 0;
  KvText text;
  texts.reserve(text, 90);
  for (auto* both : {&text.keys, &text.values})
    for (auto& slab : *both) slab.numbers.copy_(at::arange(slab.numbers.numel()).view(slab.numbers.sizes()));
  const auto kept = text.keys[1].numbers.clone();
  text.length = 90;
  texts.end(std::move(text), ids, {});
  const auto copy = texts.begin(other, {});
  EXPECT_EQ(copy.length, 20);
  EXPECT_TRUE(copy.keys[1].numbers.narrow(0, 0, 20).equal(kept.narrow(0, 0, 20)));
  copy.keys[1].numbers.fill_(0);
  const auto whole = texts.begin(ids, {});
  EXPECT_EQ(whole.length, 89) << "it was there for its own next turn";
  EXPECT_TRUE(whole.keys[1].numbers.narrow(0, 0, 89).equal(kept.narrow(0, 0, 89)));
}

}  // namespace
}  // namespace herd::test
