#include <fmt/format.h>

#include <algorithm>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "data/readers/formats.h"

namespace herd {
namespace {

Record text_record(std::string text) {
  Record record;
  record.turns = {{.role = Role::kText, .text = std::move(text)}};
  return record;
}

}  // namespace

void read_text_object(const Json& object, Parsed& out) {
  const Fields fields(object, "the field 'text'");
  auto record = text_record(fields.text("text"));
  read_about(fields, record);
  out.records.push_back(std::move(record));
}

void read_text_line(std::string_view line, Parsed& out) {
  require_text(line);
  out.records.push_back(text_record(std::string(line)));
}

void read_query_answer(std::string_view line, Parsed& out) {
  require_text(line);
  const auto tabs = std::count(line.begin(), line.end(), '\t');
  if (tabs != 1)
    throw RecordFault{.found = fmt::format("{} columns", tabs + 1), .expected = "two: a question and an answer, a tab between them"};
  const auto tab = line.find('\t');
  out.records.push_back(instruction_record(std::string(line.substr(0, tab)), "", std::string(line.substr(tab + 1))));
}

void read_cot(std::string_view, Parsed&) {
  throw RecordFault{.found = "a question, an answer and its reasoning, which make a record only by a template",
                    .expected = "records",
                    .remedy = "format them first: herd data format"};
}

}  // namespace herd
