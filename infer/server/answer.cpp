#include "infer/server/answer.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "infer/server/token_texts.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string new_id(bool chat) {
  std::random_device random;
  return fmt::format("{}-{:08x}{:08x}{:08x}", chat ? "chatcmpl" : "cmpl", random(), random(), random());
}

Json finish_reason(std::optional<FinishReason> finish) {
  if (!finish) return nullptr;
  return *finish == FinishReason::kEos || *finish == FinishReason::kStop ? "stop" : "length";
}

Json head(const std::string& id, const char* object, std::int64_t created, const std::string& model) {
  return {{"id", id}, {"object", object}, {"created", created}, {"model", model}, {"choices", Json::array()}};
}

}  // namespace

std::string sse_event(const std::string& data) { return "data: " + data + "\n\n"; }

Answer::Answer(const Call& call, const Tokenizer& tokenizer)
    : call_(call), tokenizer_(tokenizer), id_(new_id(call.chat)), created_(std::time(nullptr)), texts_(call.prompts.size() * static_cast<std::size_t>(call.n)) {}

namespace {

Json usage(const Call& call, std::size_t made) {
  std::size_t read = 0;
  for (const auto& prompt : call.prompts) read += prompt.ids.size();
  return {{"prompt_tokens", read}, {"completion_tokens", made}, {"total_tokens", read + made}};
}

// Of tokens that come after `before`.
void add_lines(TokenLines& lines, std::optional<TokenId> before, const std::vector<TokenId>& ids, const std::vector<LogProbs>& log_probs) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    lines.add(before, ids[i], i < log_probs.size() ? std::optional(log_probs[i]) : std::nullopt);
    before = ids[i];
  }
}

}  // namespace

void Answer::add(const TextEvent& event) {
  auto& text = texts_[event.text];
  text.text += event.piece;
  text.ids.insert(text.ids.end(), event.ids.begin(), event.ids.end());
  text.log_probs.insert(text.log_probs.end(), event.log_probs.begin(), event.log_probs.end());
  text.tokens = event.tokens;
  text.finish = event.finish;
}

std::string Answer::whole(const std::vector<std::vector<LogProbs>>& prompt_log_probs) const {
  auto body = head(id_, call_.chat ? "chat.completion" : "text_completion", created_, call_.model);
  std::size_t made = 0;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    const auto& text = texts_[i];
    const auto number = i / static_cast<std::size_t>(call_.n);
    const auto& prompt = call_.prompts[number].ids;
    made += text.tokens;
    TokenLines lines(tokenizer_);
    if (call_.echo && call_.options.log_probs) {
      lines.add(std::nullopt, prompt.front(), std::nullopt);
      add_lines(lines, prompt.front(), {prompt.begin() + 1, prompt.end()}, prompt_log_probs[number]);
    }
    if (call_.options.log_probs) add_lines(lines, prompt.back(), text.ids, text.log_probs);
    Json choice{{"index", i}};
    if (call_.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", text.text}, {"refusal", nullptr}};
      choice["logprobs"] = call_.options.log_probs ? Json{{"content", lines.chat()}, {"refusal", nullptr}} : Json();
    } else {
      choice["text"] = call_.echo ? tokenizer_.decode(prompt) + text.text : text.text;
      choice["logprobs"] = call_.options.log_probs ? lines.completion() : Json();
    }
    choice["finish_reason"] = finish_reason(text.finish);
    body["choices"].push_back(std::move(choice));
  }
  body["usage"] = usage(call_, made);
  return dump(body);
}

std::string Answer::begin() const {
  if (!call_.chat) return "";
  std::string out;
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    auto chunk = head(id_, "chat.completion.chunk", created_, call_.model);
    chunk["choices"].push_back({{"index", i}, {"delta", {{"role", "assistant"}, {"content", ""}}}, {"logprobs", nullptr}, {"finish_reason", nullptr}});
    if (call_.include_usage) chunk["usage"] = nullptr;
    out += sse_event(dump(chunk));
  }
  return out;
}

std::string Answer::piece(const TextEvent& event) {
  auto& text = texts_[event.text];
  TokenLines lines(tokenizer_);
  if (call_.options.log_probs) {
    const auto& prompt = call_.prompts[event.text / static_cast<std::size_t>(call_.n)].ids;
    add_lines(lines, text.ids.empty() ? prompt.back() : text.ids.back(), event.ids, event.log_probs);
  }
  if (!event.ids.empty()) text.ids = {event.ids.back()};  // the next one's text hangs on it; the rest has been told
  text.tokens = event.tokens;
  if (event.piece.empty() && event.ids.empty() && !event.finish) return "";
  auto chunk = head(id_, call_.chat ? "chat.completion.chunk" : "text_completion", created_, call_.model);
  Json choice{{"index", event.text}};
  const bool told = call_.options.log_probs && !event.ids.empty();
  if (call_.chat) {
    choice["delta"] = event.piece.empty() ? Json::object() : Json{{"content", event.piece}};
    choice["logprobs"] = told ? Json{{"content", lines.chat()}, {"refusal", nullptr}} : Json();
  } else {
    choice["text"] = event.piece;
    choice["logprobs"] = told ? lines.completion() : Json();
  }
  choice["finish_reason"] = finish_reason(event.finish);
  chunk["choices"].push_back(std::move(choice));
  if (call_.include_usage) chunk["usage"] = nullptr;
  return sse_event(dump(chunk));
}

std::string Answer::end() const {
  std::string out;
  if (call_.include_usage) {
    std::size_t made = 0;
    for (const auto& text : texts_) made += text.tokens;
    auto chunk = head(id_, call_.chat ? "chat.completion.chunk" : "text_completion", created_, call_.model);
    chunk["usage"] = usage(call_, made);
    out = sse_event(dump(chunk));
  }
  return out + sse_event("[DONE]");
}

}  // namespace herd
