#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"

namespace herd {
namespace {

/// The answer in a message, or a text.
std::string answer_in(const Fields& fields, const std::string& name) {
  const auto& value = fields.at(name);
  if (value.is_string()) return value;
  if (!value.is_object()) fields.wrong(name, "an answer: a string, or a message of the assistant");
  Record alone;
  read_message(value, 1, alone);
  if (alone.turns.size() != 1 || alone.turns[0].role != Role::kAssistant)
    fields.wrong(name, "an answer: a string, or a message of the assistant");
  return alone.turns[0].text;
}

/// Two whole conversations that differ in their last turn alone.
void from_whole(Record chosen, const Record& rejected, Record& record) {
  const auto same = [&] {
    if (chosen.system != rejected.system || chosen.turns.size() != rejected.turns.size()) return false;
    return std::equal(chosen.turns.begin(), chosen.turns.end() - 1, rejected.turns.begin());
  };
  check_order(chosen.turns);
  check_order(rejected.turns);
  if (!same() || chosen.turns.back().role != Role::kAssistant || rejected.turns.back().role != Role::kAssistant)
    throw RecordFault{.found = "a chosen and a rejected conversation that differ before their last answer",
                      .expected = "two answers to the same"};
  record = std::move(chosen);
  record.rejected = rejected.turns.back().text;
}

Record from_list(const Json& list) {
  Record record;
  read_messages(list, record);
  return record;
}

/// `\n\nHuman: …\n\nAssistant: …`, as hh-rlhf has it.
Record from_marked(const std::string& text, const char* name) {
  Record record;
  for (const auto piece : between_markers(text))
    record.turns.push_back({.role = record.turns.size() % 2 == 0 ? Role::kUser : Role::kAssistant, .text = std::string(piece)});
  if (record.turns.empty())
    throw RecordFault{
        .found = std::string("an answer to nothing in field '") + name + "'",
        .expected = "a prompt beside it ('prompt', 'instruction', 'conversations'), or turns of Human: and Assistant: inside of it"};
  return record;
}

}  // namespace

void read_preference(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'chosen' and 'rejected', and a prompt");
  Record record;
  const auto& chosen = fields.at("chosen");
  if (chosen.is_array()) {
    auto whole = from_list(chosen);
    from_whole(std::move(whole), from_list(fields.list("rejected")), record);
  } else {
    for (const auto* name : {"conversations", "messages"})
      if (record.turns.empty() && fields.has(name)) read_messages(fields.list(name), record);
    if (record.turns.empty()) {
      read_history(fields, record);
      const auto* prompt = fields.has("prompt") ? "prompt" : "instruction";
      if (fields.has(prompt))
        record.turns.push_back({.role = Role::kUser, .text = fields.text(prompt), .input = fields.text_or_empty("input")});
    }
    if (record.turns.empty()) {
      auto whole = from_marked(fields.text("chosen"), "chosen");
      from_whole(std::move(whole), from_marked(fields.text("rejected"), "rejected"), record);
    } else {
      record.turns.push_back({.role = Role::kAssistant, .text = answer_in(fields, "chosen")});
      record.rejected = answer_in(fields, "rejected");
      check_order(record.turns);
    }
  }
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

}  // namespace herd
