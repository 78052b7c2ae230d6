// What clients ask of `herd serve`, understood; and what they are told, in OpenAI's words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>

#include "infer/server/answer.h"
#include "infer/server/api_error.h"
#include "infer/server/call.h"
#include "infer/server/json_fields.h"
#include "infer/server/server_metrics.h"
#include "infer/server/server_options.h"
#include "infer/server/token_texts.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/letters.h"

namespace herd::test {
namespace {
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMostTexts = 8;

/// The last question's letters, whoever is asked.
Prompt asked(const Record& record) { return {.ids = Letters().encode(record.turns[record.turns.size() - 2].text, false)}; }

class Calls : public testing::Test {
 protected:
  Call completion(const json& body) { return completion_call(body, served_, kMostTexts); }
  Call chat(json body) {
    body["messages"] = {{{"role", "user"}, {"content", "AB"}}};
    return chat_call(body, served_, kMostTexts);
  }

  Letters letters_;
  Served served_{.tokenizer = letters_, .context = 64, .models = {{"base", std::nullopt, asked}, {"pirate", 0, asked}}};
};

TEST_F(Calls, DefaultsAreOpenAIs) {
  const auto call = completion({{"prompt", "AB"}});
  EXPECT_EQ(call.model, "base");
  EXPECT_EQ(call.adapter, std::nullopt);
  EXPECT_EQ(call.n, 1);
  EXPECT_EQ(call.options.max_new_tokens, 16);
  EXPECT_EQ(call.options.sampling.temperature, 1);
  EXPECT_EQ(call.options.sampling.top_p, 1);
  EXPECT_EQ(call.options.log_probs, std::nullopt);
  EXPECT_TRUE(call.generates);
  EXPECT_FALSE(call.echo || call.stream || call.include_usage || call.chat);
  EXPECT_EQ(chat({}).options.max_new_tokens, 64) << "a chat's answer may fill the context";
  EXPECT_NE(completion({{"prompt", "AB"}}).options.sampling.seed, call.options.sampling.seed);
}

TEST_F(Calls, EveryFieldIsRead) {
  const auto call = completion({{"prompt", "AB"}, {"model", "pirate"}, {"n", 2}, {"best_of", 2}, {"echo", true}, {"max_tokens", 7}, {"temperature", 0.5}, {"top_p", 0.9},
                                {"top_k", 4}, {"min_p", 0.1}, {"typical_p", 0.8}, {"repetition_penalty", 1.2}, {"presence_penalty", 0.3}, {"frequency_penalty", -0.4},
                                {"no_repeat_ngram", 3}, {"logit_bias", {{"5", -100}, {"7", 1.5}}}, {"stop", {"x", "y"}}, {"seed", 11}, {"logprobs", 2}, {"user", "me"}});
  EXPECT_EQ(call.adapter, 0);
  EXPECT_EQ(call.n, 2);
  EXPECT_TRUE(call.echo);
  const SamplingOptions expected{.logit_bias = {{{5}, -100}, {{7}, 1.5}}, .repetition_penalty = 1.2, .frequency_penalty = -0.4, .presence_penalty = 0.3, .no_repeat_ngram = 3,
                                 .temperature = 0.5, .top_k = 4, .top_p = 0.9, .min_p = 0.1, .typical_p = 0.8, .seed = 11};
  EXPECT_EQ(call.options.sampling, expected);
  EXPECT_EQ(call.options.max_new_tokens, 7);
  EXPECT_THAT(call.options.stop, ElementsAre("x", "y"));
  EXPECT_EQ(call.options.log_probs, 2);
}

TEST_F(Calls, NullIsAFieldThatIsNotThere) {
  const auto call = completion({{"prompt", "AB"}, {"stop", nullptr}, {"logprobs", nullptr}, {"max_tokens", nullptr}, {"suffix", nullptr}, {"best_of", nullptr}, {"model", nullptr}});
  EXPECT_EQ(call.options.max_new_tokens, 16);
  EXPECT_TRUE(call.options.stop.empty());
}

TEST_F(Calls, PromptsComeInFourForms) {
  const auto ids = [&](const json& prompt) {
    std::vector<std::vector<TokenId>> out;
    for (const auto& p : completion({{"prompt", prompt}}).prompts) out.push_back(p.ids);
    return out;
  };
  EXPECT_THAT(ids("!#"), ElementsAre(std::vector<TokenId>{0, 2}));
  EXPECT_THAT(ids({"!", "#"}), ElementsAre(std::vector<TokenId>{0}, std::vector<TokenId>{2}));
  EXPECT_THAT(ids({3, 4}), ElementsAre(std::vector<TokenId>{3, 4}));
  EXPECT_THAT(ids({{3, 4}, {5}}), ElementsAre(std::vector<TokenId>{3, 4}, std::vector<TokenId>{5}));
  for (const json& wrong : {json(7), json::array(), json{{3, "a"}}, json{3.5}, json{-1}, json{{{3}}}, json{5e9}}) EXPECT_NE(outcome_of<ApiError>([&] { ids(wrong); }), kNoError) << wrong;
}

TEST_F(Calls, TemperatureZeroIsGreedyWhateverElseIsSent) {
  const auto sampling = completion({{"prompt", "AB"}, {"temperature", 0}, {"top_p", 0.5}, {"top_k", 3}, {"min_p", 0.1}, {"typical_p", 0.5}, {"seed", 1}}).options.sampling;
  EXPECT_EQ(sampling, (SamplingOptions{.temperature = 0, .seed = 1}));
}

TEST_F(Calls, ChatsLogProbabilities) {
  EXPECT_EQ(chat({{"logprobs", true}}).options.log_probs, 0);
  EXPECT_EQ(chat({{"logprobs", true}, {"top_logprobs", 4}}).options.log_probs, 4);
  EXPECT_EQ(chat({{"logprobs", false}}).options.log_probs, std::nullopt);
  EXPECT_EQ(chat({{"max_tokens", 3}, {"max_completion_tokens", 5}}).options.max_new_tokens, 5);
}

TEST_F(Calls, MessagesBecomeARecord) {
  const auto record = chat_record({{{"role", "system"}, {"content", "s"}},
                                   {{"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
                                   {{"role", "assistant"}, {"content", "c"}},
                                   {{"role", "tool"}, {"content", "d"}, {"tool_call_id", "x"}}});
  EXPECT_EQ(record.system, "s");
  EXPECT_EQ(record.turns, (std::vector<Turn>{{.role = Role::kUser, .text = "ab"}, {.role = Role::kAssistant, .text = "c"}, {.role = Role::kTool, .text = "d"}, {.role = Role::kAssistant}}));
}

TEST_F(Calls, ARequestsTextsAreNumberedFromNought) {
  const auto requests = completion({{"prompt", {"A", "B"}}, {"n", 2}, {"seed", 3}}).requests();
  ASSERT_EQ(requests.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(requests[i].prompt.number, i);
    EXPECT_EQ(requests[i].prompt.ids.front(), i < 2 ? 'A' - '!' : 'B' - '!');
  }
}

TEST_F(Calls, WholeAnswers) {
  const auto call = completion({{"prompt", "AB"}, {"n", 2}, {"echo", true}, {"logprobs", 1}});
  Answer answer(call, letters_);
  const LogProbs x{.chosen = {2, -1.5}, .top = {{3, -0.5}}}, y{.chosen = {3, -0.25}, .top = {{3, -0.25}}}, b{.chosen = {'B' - '!', -2}, .top = {{0, -1}}};
  answer.add({.text = 0, .piece = "#", .ids = {2}, .log_probs = {x}, .tokens = 1});
  answer.add({.text = 1, .piece = "$", .ids = {3}, .log_probs = {y}, .finish = FinishReason::kContext, .tokens = 1});
  answer.add({.text = 0, .piece = "$", .ids = {3}, .log_probs = {y}, .finish = FinishReason::kStop, .tokens = 4});
  const auto body = json::parse(answer.whole({{b}, {b}}));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["usage"], (json{{"prompt_tokens", 2}, {"completion_tokens", 5}, {"total_tokens", 7}}));
  const auto& first = body["choices"][0];
  EXPECT_EQ(first["text"], "AB#$");
  EXPECT_EQ(first["finish_reason"], "stop");
  EXPECT_EQ(first["logprobs"]["tokens"], (json{"A", "B", "#", "$"}));
  EXPECT_EQ(first["logprobs"]["token_logprobs"], (json{nullptr, -2, -1.5, -0.25}));
  EXPECT_EQ(first["logprobs"]["top_logprobs"], (json{nullptr, {{"!", -1}, {"B", -2}}, {{"$", -0.5}, {"#", -1.5}}, {{"$", -0.25}}}));
  EXPECT_EQ(first["logprobs"]["text_offset"], (json{0, 1, 2, 3}));
  EXPECT_EQ(body["choices"][1]["text"], "AB$");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
}

TEST_F(Calls, StreamedPiecesOfSeveralTexts) {
  const auto call = chat({{"n", 2}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  Answer answer(call, letters_);
  const auto parsed = [](const std::string& event) { return json::parse(event.substr(6)); };
  EXPECT_THAT(answer.begin(), HasSubstr(R"("role":"assistant")"));
  const auto chunk = parsed(answer.piece({.text = 1, .piece = "x", .ids = {5}, .tokens = 1}));
  EXPECT_EQ(chunk["choices"], (json{{{"index", 1}, {"delta", {{"content", "x"}}}, {"logprobs", nullptr}, {"finish_reason", nullptr}}}));
  EXPECT_TRUE(chunk["usage"].is_null());
  EXPECT_EQ(parsed(answer.piece({.text = 1, .finish = FinishReason::kEos, .tokens = 2}))["choices"][0]["finish_reason"], "stop");
  answer.piece({.text = 0, .finish = FinishReason::kLength, .tokens = 3});
  const auto end = answer.end();
  EXPECT_EQ(parsed(end.substr(0, end.find("\n\n")))["usage"]["completion_tokens"], 5);
  EXPECT_THAT(end, testing::EndsWith("\n\ndata: [DONE]\n\n"));
}

TEST(TokenLines, ATextThatTwoTokensHaveStandsForTheMoreProbable) {
  class Twins final : public Tokenizer {
   public:
    std::vector<TokenId> encode(std::string_view, bool) const override { return {}; }
    std::string decode(std::span<const TokenId> ids, bool) const override { return std::string(ids.size(), 'a'); }
    std::int64_t vocab_size() const override { return 2; }
    std::optional<TokenId> token_to_id(std::string_view) const override { return 0; }
    std::string id_to_token(TokenId) const override { return "a"; }
  } twins;
  TokenLines lines(twins);
  lines.add(0, 1, LogProbs{.chosen = {1, -3}, .top = {{0, -1}, {1, -3}}});
  EXPECT_EQ(lines.completion()["top_logprobs"][0], (nlohmann::ordered_json{{"a", -1}}));
  EXPECT_EQ(lines.completion()["token_logprobs"][0], -3);
}

TEST(Bodies, DepthIsCountedOutsideOfStringsAlone) {
  const auto nested = [](std::size_t depth) { return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}"; };
  EXPECT_TRUE(parse_body(nested(32)).is_object());
  EXPECT_THAT(message_of<ApiError>([&] { parse_body(nested(33)); }), HasSubstr("deeper than 32"));
  EXPECT_TRUE(parse_body(R"({"a": "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})").is_object());
}

TEST(ApiErrors, AreOpenAIs) {
  EXPECT_EQ(json::parse(ApiError(429, "full", "", "busy").json()),
            (json{{"error", {{"message", "full"}, {"type", "rate_limit_error"}, {"param", nullptr}, {"code", "busy"}}}}));
  const auto wrong_option = api_error(ConfigError({.who = "top-p", .found = "7", .expected = "less", .remedy = "lower it"}));
  EXPECT_EQ(wrong_option.status(), 400);
  EXPECT_EQ(json::parse(wrong_option.json())["error"]["param"], "top_p");
  EXPECT_EQ(std::string(wrong_option.what()).find('\n'), std::string::npos);
}

TEST(ApiErrors, WhatIsNoClientsIsInTheLogAlone) {
  testing::internal::CaptureStderr();
  const auto told = api_error(std::runtime_error("/srv/models/base is broken\nframe #0: at::detail"));
  const auto logged = testing::internal::GetCapturedStderr();
  EXPECT_EQ(told.status(), 500);
  const auto error = json::parse(told.json())["error"];
  const auto message = error["message"].get<std::string>();
  std::smatch number;
  ASSERT_TRUE(std::regex_match(message, number, std::regex("internal error ([0-9a-f]{8}): the server's log says more"))) << message;
  EXPECT_EQ(error["type"], "server_error");
  EXPECT_THAT(logged, AllOf(HasSubstr(number.str(1)), HasSubstr("/srv/models/base is broken")));
  const IoError io({.who = "/srv/models/base", .found = "gone", .expected = "a folder", .remedy = ""});
  testing::internal::CaptureStderr();
  const std::string first = api_error(io).what(), second = api_error(io).what();
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(first.find("/srv"), first.npos);
  EXPECT_NE(first, second) << "each has a number of its own";
}

TEST(ServerMetrics, HistogramsAddUp) {
  ServerMetrics metrics;
  metrics.first_token(0.004);
  metrics.first_token(0.3);
  metrics.first_token(100);
  metrics.answered("/health", 200);
  const auto text = metrics.text({.waiting = 3, .growing = 2, .ready = true});
  for (const auto* line : {"_bucket{le=\"0.005\"} 1\n", "_bucket{le=\"0.25\"} 1\n", "_bucket{le=\"0.5\"} 2\n", "_bucket{le=\"60\"} 2\n", "_bucket{le=\"+Inf\"} 3\n", "_count 3\n",
                           "herd_requests_total{path=\"/health\",code=\"200\"} 1\n", "herd_requests_waiting 3\n", "herd_texts_growing 2\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(ServerOptions, AHostBeyondThisMachineNeedsAKey) {
  for (const auto* own : {"127.0.0.1", "127.3.2.1", "localhost", "::1"}) EXPECT_NO_THROW(ServerOptions{.host = own}.validate());
  for (const auto* other : {"0.0.0.0", "::", "10.0.0.7", "example.org"}) {
    EXPECT_THAT(message_of<ConfigError>([&] { ServerOptions{.host = other}.validate(); }), HasSubstr("HERD_API_KEY"));
    EXPECT_NO_THROW((ServerOptions{.host = other, .api_key = "k"}.validate()));
  }
}

TEST(ServerOptions, SecondsHaveBothBounds) {
  for (const auto seconds : {&ServerOptions::read_timeout_s, &ServerOptions::idle_timeout_s, &ServerOptions::write_timeout_s, &ServerOptions::request_timeout_s, &ServerOptions::stall_s}) {
    ServerOptions options;
    for (const double wrong : {0.0, -1.0, 1e7, 1e300, std::numeric_limits<double>::infinity(), std::nan("")}) {
      options.*seconds = wrong;
      EXPECT_THROW(options.validate(), ConfigError) << wrong;
    }
    for (const double right : {0.1, 1e6}) {
      options.*seconds = right;
      EXPECT_NO_THROW(options.validate()) << right;
    }
  }
}

}  // namespace
}  // namespace herd::test
