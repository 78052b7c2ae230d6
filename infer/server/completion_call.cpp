// What /v1/completions is asked.
#include <nlohmann/json.hpp>

#include "infer/prompt.h"
#include "infer/server/api_error.h"
#include "infer/server/call_fields.h"

namespace herd {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const Json& prompt) {
  throw ApiError::field("prompt", shown(prompt), "a string, a list of strings, a list of ids, or a list of such lists");
}

bool is_ids(const Json& list) { return list.is_array() && !list.empty() && list.front().is_number(); }

Prompt of_ids(const Json& list, const Served& served) {
  Prompt prompt;
  for (const auto& id : list) {
    // The model's table may be longer than the tokenizer's: what it lacks is the engine's to tell.
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() > 1e9) refuse(list);
    prompt.ids.push_back(id.get<TokenId>());
    if (std::ssize(prompt.ids) > served.context) throw ApiError(400, "prompt: more ids than the context of " + std::to_string(served.context), "prompt", "context_length_exceeded");
  }
  return prompt;
}

std::vector<Prompt> prompts(const Json& prompt, const Served& served) {
  const auto one = [&](const Json& value) {
    if (value.is_string()) return text_prompt(served.tokenizer, value.get_ref<const std::string&>());
    if (is_ids(value)) return of_ids(value, served);
    refuse(value);
  };
  if (!prompt.is_array() || is_ids(prompt)) return {one(prompt)};
  std::vector<Prompt> out;
  for (const auto& value : prompt) out.push_back(one(value));
  if (out.empty()) refuse(prompt);
  return out;
}

}  // namespace

Call completion_call(const Json& body, const Served& served, std::int64_t most_texts) {
  const JsonFields fields(body);
  auto call = common_call(fields, served);
  fields.refuse("suffix", "", "text in the middle is nothing that the model was taught");
  fields.refuse("best_of", call.n, "expected the same as n: all answers are given back");
  call.echo = fields.flag("echo", false);
  const auto tokens = fields.integer("max_tokens", 16, 0, served.context);
  call.generates = tokens > 0;
  if (!call.generates && !call.echo) throw ApiError::field("max_tokens", "0 without echo", "1 or more, or 'echo': true");
  if (call.generates) call.options.max_new_tokens = tokens;
  if (fields.find("logprobs")) call.options.log_probs = fields.integer("logprobs", 0, 0, kMostLogProbs);
  if (call.echo && call.stream) throw ApiError(400, "'echo' with 'stream': expected one of them", "echo", "unsupported");
  const auto* prompt = fields.find("prompt");
  if (!prompt) throw ApiError::field("prompt", "nothing", "a string, or a list");
  if (prompt->is_array() && !is_ids(*prompt) && std::ssize(*prompt) > most_texts) throw ApiError::field("prompt", std::to_string(prompt->size()) + " prompts", "at most " + std::to_string(most_texts));
  call.prompts = prompts(*prompt, served);
  limit_texts(call, most_texts);
  return call;
}

}  // namespace herd
