#include "infer/server/token_texts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// null where the token is a part of a character: which bytes it stands for is not the text's to tell.
Json bytes_of(const std::string& text) {
  if (text.find("\xEF\xBF\xBD") != text.npos) return nullptr;
  auto bytes = Json::array();
  for (const auto byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

// JSON has no infinity; OpenAI's API writes this for what a bias has banned or fp32 cannot hold.
double finite(double log_prob) { return std::max(log_prob, -9999.0); }

}  // namespace

std::string token_text(const Tokenizer& tokenizer, std::optional<TokenId> before, TokenId id) {
  const std::vector<TokenId> alone{id};
  if (!before) return tokenizer.decode(alone, false);
  // A space in front of a word shows only behind another token.
  const auto context = tokenizer.decode(std::vector{*before}, false), both = tokenizer.decode(std::vector{*before, id}, false);
  return both.starts_with(context) ? both.substr(context.size()) : tokenizer.decode(alone, false);
}

void TokenLines::add(std::optional<TokenId> before, TokenId id, const std::optional<LogProbs>& log_probs) {
  Line line{.text = token_text(tokenizer_, before, id), .log_prob = {}, .top = {}};
  if (log_probs) {
    line.log_prob = finite(log_probs->chosen.log_prob);
    for (const auto& [other, log_prob] : log_probs->top) line.top.emplace_back(token_text(tokenizer_, before, other), finite(log_prob));
  }
  lines_.push_back(std::move(line));
}

Json TokenLines::completion() const {
  Json tokens = Json::array(), log_probs = Json::array(), tops = Json::array(), offsets = Json::array();
  std::int64_t offset = 0;
  for (const auto& line : lines_) {
    tokens.push_back(line.text);
    log_probs.push_back(line.log_prob ? Json(*line.log_prob) : Json());
    offsets.push_back(offset);
    offset += characters(line.text);
    Json top;
    if (line.log_prob) {
      top = Json::object();
      for (const auto& [text, log_prob] : line.top)
        if (!top.contains(text)) top[text] = log_prob;  // the most probable come first
      if (!top.contains(line.text)) top[line.text] = *line.log_prob;
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(tokens)}, {"token_logprobs", std::move(log_probs)}, {"top_logprobs", std::move(tops)}, {"text_offset", std::move(offsets)}};
}

Json TokenLines::chat() const {
  const auto entry = [](const std::string& text, double log_prob) { return Json{{"token", text}, {"logprob", log_prob}, {"bytes", bytes_of(text)}}; };
  auto content = Json::array();
  for (const auto& line : lines_) {
    auto token = entry(line.text, line.log_prob.value_or(0));
    token["top_logprobs"] = Json::array();
    for (const auto& [text, log_prob] : line.top) token["top_logprobs"].push_back(entry(text, log_prob));
    content.push_back(std::move(token));
  }
  return content;
}

}  // namespace herd
