#include <fmt/format.h>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"

namespace herd {
namespace {

/// `closed\u00a0QA ` and `Closed QA` are one class.
std::string same_class(std::string_view text) {
  constexpr std::string_view kNoBreakSpace = "\xc2\xa0";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool wide = text.substr(i).starts_with(kNoBreakSpace);
    i += wide;
    const char c = wide || text[i] == '\t' || text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void add(Parsed& out, Record record, const Fields& fields) {
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

}  // namespace

void read_belle_eval(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'question', 'std_answer' and 'class'");
  add(out, instruction_record(fields.text("question"), "", fields.text("std_answer")), fields);
  out.records.back().category = same_class(out.records.back().category);
}

void read_self_instruct(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'instruction' and 'instances'");
  const auto& instruction = fields.text("instruction");
  const auto& instances = fields.list("instances");
  if (instances.empty()) throw RecordFault{.found = "an empty list in field 'instances'", .expected = "at least one"};
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const Fields instance(instances[i], "the fields 'input' and 'output'", fmt::format("instance {}", i + 1));
    add(out, instruction_record(instruction, instance.text_or_empty("input"), instance.text("output")), fields);
  }
}

void read_mt_bench(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields 'question_id', 'category' and 'turns'");
  Record record;
  for (const auto& turn : fields.list("turns")) {
    if (!turn.is_string()) throw RecordFault{.found = std::string(kind_of(turn)) + " in field 'turns'", .expected = "strings"};
    record.turns.push_back({.role = Role::kUser, .text = turn});
    record.turns.push_back({.role = Role::kAssistant});
  }
  check_order(record.turns);
  add(out, std::move(record), fields);
}

void read_mmcu(const Json& object, Parsed& out) {
  const Fields fields(object, "the fields '类别', '题目', '选项' and '答案'");
  add(out, instruction_record(fields.text("题目"), fields.text("选项"), fields.text("答案")), fields);
  out.records.back().category = fields.text_or_empty("类别");
}

void read_prompt(const Json& object, Parsed& out) {
  const Fields fields(object, "the field 'prompt'");
  add(out, instruction_record(fields.text("prompt"), "", ""), fields);
}

}  // namespace herd
