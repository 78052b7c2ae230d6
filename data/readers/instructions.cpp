#include "data/readers/conversation.h"
#include "data/readers/fault.h"
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

constexpr std::string_view kEnd = "</s>", kUser = "USER:", kAssistant = "ASSISTANT:";

/// Where the next `</s> USER:` stands, and behind it.
std::pair<std::size_t, std::size_t> next_user(std::string_view text) {
  for (auto at = text.find(kEnd); at != text.npos; at = text.find(kEnd, at + 1)) {
    const auto behind = text.find_first_not_of(" \t\r\n", at + kEnd.size());
    if (behind != text.npos && text.substr(behind).starts_with(kUser)) return {at, behind + kUser.size()};
  }
  return {text.npos, text.npos};
}

std::string without_end(std::string_view text) {
  text = trimmed_text(text);
  if (text.ends_with(kEnd)) text.remove_suffix(kEnd.size());
  return std::string(trimmed_text(text));
}

/// `question ASSISTANT: answer </s> USER: question ASSISTANT: answer …`
void add_exchanges(Record& record, std::string_view text) {
  while (!text.empty()) {
    const auto [end, behind] = next_user(text);
    const auto exchange = text.substr(0, end);
    const auto answer = exchange.find(kAssistant);
    if (answer == exchange.npos)
      throw RecordFault{.found = "a turn of USER: without one of ASSISTANT: after it",
                        .expected = "the two by turns, as airoboros writes them"};
    add_pair(record, std::string(trimmed_text(exchange.substr(0, answer))), "", without_end(exchange.substr(answer + kAssistant.size())));
    text = end == text.npos ? std::string_view() : text.substr(behind);
  }
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
  const auto& instruction = fields.text("instruction");
  const auto& response = fields.text("response");
  Record record;
  if (next_user(instruction).first != std::string::npos) {
    add_exchanges(record, instruction + " " + std::string(kAssistant) + " " + response);
  } else if (const auto [end, behind] = next_user(response); end != std::string::npos) {
    add_pair(record, instruction, "", without_end(std::string_view(response).substr(0, end)));
    add_exchanges(record, std::string_view(response).substr(behind));
  } else {
    add_pair(record, instruction, "", response);
  }
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
