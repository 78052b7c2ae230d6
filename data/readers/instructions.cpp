#include "data/readers/conversation.h"
#include "data/readers/formats.h"

namespace herd {
namespace {

void add_pair(Record& record, std::string question, std::string input, std::string answer) {
  record.turns.push_back({.role = Role::kUser, .text = std::move(question), .input = std::move(input)});
  record.turns.push_back({.role = Role::kAssistant, .text = std::move(answer)});
}

void add_dialogue(Record& record, const std::string& instruction, const std::string& input, const std::string& output) {
  const auto pieces = between_markers(instruction);
  for (std::size_t i = 0; i + 2 < pieces.size(); i += 2) add_pair(record, std::string(pieces[i]), "", std::string(pieces[i + 1]));
  add_pair(record, std::string(pieces[pieces.size() - 2]), input, output);
}

}  // namespace

void read_alpaca(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'instruction', 'input' and 'output'");
  const auto& instruction = fields.text("instruction");
  if (!fields.has("input")) {
    static const std::vector<std::string> known{"instruction", "input", "output",   "system", "history",
                                                "category",    "class", "language", "lang",   "weight"};
    if (!fields.find("input") && !fields.misspelt("input", known).empty()) fields.missing("input");
    out.without_input = true;
  }
  const auto& input = fields.text_or_empty("input");
  const auto& output = fields.text("output");
  Record record;
  read_history(fields, record);
  record.turns.empty() && holds_dialogue(instruction) ? add_dialogue(record, instruction, input, output)
                                                      : add_pair(record, instruction, input, output);
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

void read_airoboros(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'instruction' and 'response'");
  Record record;
  record.turns = embedded_turns(fields.text("instruction"), fields.text("response"));
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

void read_dolly(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'instruction', 'context' and 'response'");
  Record record;
  add_pair(record, fields.text("instruction"), fields.text_or_empty("context"), fields.text("response"));
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

void read_chatglm(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'prompt' and 'response'");
  Record record;
  read_history(fields, record);
  add_pair(record, fields.text("prompt"), "", fields.text("response"));
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

}  // namespace herd
