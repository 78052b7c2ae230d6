// What /v1/chat/completions is asked.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "infer/server/api_error.h"
#include "infer/server/call_fields.h"

namespace herd {
namespace {

using Json = nlohmann::json;

// A string, or OpenAI's list of parts, of which those of text are joined.
std::string content(const Json& message, const std::string& within) {
  const JsonFields fields(message, within);
  const auto* content = fields.find("content");
  const auto refuse = [&](const Json& value) { throw ApiError::field(fields.name("content"), shown(value), "text, or a list of {\"type\": \"text\", \"text\": …}"); };
  if (!content) refuse(nullptr);
  if (!content->is_array()) return fields.text("content", "");
  std::string text;
  for (const auto& part : *content) {
    if (!part.is_object() || part.value("type", Json()) != "text" || !part.contains("text") || !part["text"].is_string()) refuse(part);
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

Record chat_record(const Json& messages) {
  if (!messages.is_array() || messages.empty()) throw ApiError::field("messages", shown(messages), "a list of messages");
  Record record;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto within = fmt::format("messages[{}].", i);
    const auto& message = messages[i];
    if (!message.is_object()) throw ApiError::field(fmt::format("messages[{}]", i), shown(message), "an object with role and content");
    const JsonFields fields(message, within);
    const auto role = fields.text("role", "");
    fields.refuse("tool_calls", Json::array(), "herd gives a tool's call as text");
    auto text = content(message, within);
    if (role == "system" || role == "developer") {
      if (i != 0) throw ApiError::field(fields.name("role"), role + " after other messages", "it to be the first");
      record.system = std::move(text);
    } else if (role == "user" || role == "assistant" || role == "tool") {
      record.turns.push_back({.role = role == "user" ? Role::kUser : role == "tool" ? Role::kTool : Role::kAssistant, .text = std::move(text)});
    } else {
      throw ApiError::field(fields.name("role"), "'" + role.substr(0, 40) + "'", "system, user, assistant or tool");
    }
  }
  if (record.turns.empty() || record.turns.back().role == Role::kAssistant)
    throw ApiError::field("messages", record.turns.empty() ? "no question" : "an answer that is the last", "a user's or tool's message at the end");
  record.turns.push_back({.role = Role::kAssistant});  // the one that is wanted
  return record;
}

Call chat_call(const Json& body, const Served& served, std::int64_t most_texts) {
  const JsonFields fields(body);
  auto call = common_call(fields, served);
  call.chat = true;
  for (const auto* key : {"tools", "functions"}) fields.refuse(key, Json::array(), "herd's answers are text: describe tools in a message");
  fields.refuse("response_format", Json{{"type", "text"}}, "herd's answers are text");
  fields.refuse("modalities", Json::array({"text"}), "herd's answers are text");
  const auto longest = std::max<std::int64_t>(1, served.context);
  const auto* key = fields.find("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
  call.options.max_new_tokens = fields.integer(key, longest, 1, longest);
  const auto top = fields.integer("top_logprobs", 0, 0, kMostLogProbs);
  if (fields.flag("logprobs", false)) call.options.log_probs = top;
  else if (fields.find("top_logprobs") && top > 0) throw ApiError::field("top_logprobs", "no 'logprobs': true", "both");
  const auto* messages = fields.find("messages");
  if (!messages) throw ApiError::field("messages", "nothing", "a list of messages");
  call.prompts = {served.find(call.model).ask(chat_record(*messages))};
  limit_texts(call, most_texts);
  return call;
}

}  // namespace herd
