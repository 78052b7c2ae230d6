#include <fmt/format.h>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// Who is meant by a name, no value being the system.
const std::vector<std::pair<std::string, std::optional<Role>>>& role_names() {
  static const std::vector<std::pair<std::string, std::optional<Role>>> names{
      {"user", Role::kUser},         {"human", Role::kUser},         {"assistant", Role::kAssistant}, {"gpt", Role::kAssistant},
      {"chatgpt", Role::kAssistant}, {"bing", Role::kAssistant},     {"bard", Role::kAssistant},      {"system", std::nullopt},
      {"developer", std::nullopt},   {"tool", Role::kTool},          {"observation", Role::kTool},    {"function", Role::kTool},
      {"call", Role::kCall},         {"function_call", Role::kCall}, {"thought", Role::kThought},     {"text", Role::kText},
  };
  return names;
}

std::optional<Role> role_of(const std::string& name, const Fields& fields) {
  std::vector<std::string> known;
  for (const auto& [other, role] : role_names()) {
    if (other == name) return role;
    known.push_back(other);
  }
  const auto close = nearest(name, known);
  throw RecordFault{.found = fmt::format("the role '{}'{}", name, fields.in_place()),
                    .expected = "one of " + join(known),
                    .remedy = close.empty() ? "" : "did you mean '" + close + "'?"};
}

/// A string, or the texts of a list of parts, joined.
std::string content_in(const Fields& fields, const std::string& name) {
  if (!fields.has(name) || !fields.at(name).is_array()) return fields.text(name);
  std::string joined;
  for (const auto& part : fields.at(name)) {
    const Fields piece(part, "type and text", "a part" + fields.in_place());
    if (const auto& type = piece.text("type"); type != "text")
      throw RecordFault{.found = fmt::format("a part of type '{}'{}", type, fields.in_place()), .expected = "parts of type 'text'"};
    joined += piece.text("text");
  }
  return joined;
}

/// `train: false` as herd and others have it, `weight: 0` as OpenAI does.
std::optional<bool> supervised(const Fields& fields) {
  const auto train = fields.truth("train");
  const auto weight = fields.number("weight");
  if (!weight) return train;
  if (*weight != 0 && *weight != 1) fields.wrong("weight", "0 or 1, where it is a message's");
  if (train && *train != (*weight == 1))
    throw RecordFault{.found = "fields 'train' and 'weight' that contradict each other" + fields.in_place(), .expected = "one of the two"};
  return *weight == 1;
}

}  // namespace

void read_message(const Json& message, std::size_t number, Record& record) {
  const bool sharegpt = message.is_object() && !message.contains("role");
  const std::string who = sharegpt ? "from" : "role", what = sharegpt ? "value" : "content";
  const Fields fields(message, fmt::format("'{}' and '{}'", who, what), fmt::format("turn {}", number));
  const auto role = role_of(fields.text(who), fields);
  if (!role) {
    if (!record.turns.empty() || !record.system.empty())
      throw RecordFault{.found = "a system message as turn " + std::to_string(number), .expected = "one, before all others"};
    record.system = content_in(fields, what);
    return;
  }

  const auto learn = supervised(fields);
  const auto add = [&](Role as, std::string text, std::string input = "") {
    record.turns.push_back({.role = as, .text = std::move(text), .input = std::move(input), .supervised = learn});
  };
  const char* calls = fields.has("tool_calls") ? "tool_calls" : fields.has("function_call") ? "function_call" : nullptr;
  if (*role != Role::kAssistant && calls)
    throw RecordFault{.found = fmt::format("'{}' of somebody else{}", calls, fields.in_place()), .expected = "calls of the assistant"};
  if (fields.has("reasoning_content")) add(Role::kThought, fields.text("reasoning_content"));
  if (!calls) return add(*role, content_in(fields, what), fields.text_or_empty("input"));
  // What the model says beside a call is said before it, and is no answer yet.
  if (fields.has(what)) {
    if (auto before = content_in(fields, what); !before.empty()) add(Role::kThought, std::move(before));
  }
  add(Role::kCall, fields.at(calls).dump());
}

void read_messages(const Json& list, Record& record) {
  for (std::size_t i = 0; i < list.size(); ++i) read_message(list[i], i + 1, record);
}

void read_sharegpt(const Json& object, Parsed& out) {
  const Fields fields(object, "a list of turns in 'conversations'");
  Record record;
  read_messages(fields.list("conversations"), record);
  if (record.turns.size() > 1 && record.turns.front().role != Role::kUser) {
    record.turns.erase(record.turns.begin());
    out.dropped_turns = 1;
  }
  check_order(record.turns);
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

void read_openai(const Json& object, Parsed& out) {
  const Fields fields(object, "a list of messages in 'messages'");
  Record record;
  read_messages(fields.list("messages"), record);
  check_order(record.turns);
  read_about(fields, record);
  record.rejected = fields.text_or_empty("rejected");
  out.records.push_back(std::move(record));
}

}  // namespace herd
