#include "infer/prompt_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& name, std::string found, const char* remedy = "") {
  throw DataError({.who = name,
                   .found = std::move(found),
                   .expected = "an object with 'prompt', or with 'instruction' and perhaps 'input'",
                   .remedy = remedy});
}

std::string text_of(const Json& record, const char* key, const std::string& name) {
  if (!record.contains(key)) return {};
  if (!record[key].is_string()) refuse(name, fmt::format("'{}' that is no string: {}", key, record[key].dump().substr(0, 60)));
  return record[key].get<std::string>();
}

Question question(const Json& record, std::string name) {
  if (!record.is_object()) refuse(name, record.is_discarded() ? "broken JSON" : std::string(record.type_name()));
  const bool is_text = record.contains("prompt"), is_record = record.contains("instruction");
  if (is_text == is_record) refuse(name, is_text ? "both 'prompt' and 'instruction'" : "neither 'prompt' nor 'instruction'");
  Question out{.json = record.dump(), .name = std::move(name)};
  if (is_text) out.text = text_of(record, "prompt", out.name);
  out.record = instruction_record(text_of(record, "instruction", out.name), text_of(record, "input", out.name), "");
  if (record.contains("adapter")) out.adapter = record["adapter"].is_null() ? "" : text_of(record, "adapter", out.name);
  return out;
}

std::vector<Question> from_lines(std::string_view text, const std::string& path) {
  std::vector<Question> questions;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    questions.push_back(question(Json::parse(line, nullptr, false), fmt::format("{}:{}", path, number)));
  }
  return questions;
}

std::vector<Question> from_array(std::string_view text, const std::string& path) {
  const auto records = Json::parse(text, nullptr, false);
  if (!records.is_array()) refuse(path, "a '[' that begins no valid JSON array");
  std::vector<Question> questions;
  for (const auto& record : records) questions.push_back(question(record, fmt::format("{}: record {}", path, questions.size() + 1)));
  return questions;
}

}  // namespace

std::vector<Question> read_questions(const std::string& path) {
  const auto bytes = read_file(path);
  require_utf8(bytes, path);
  std::string_view text = bytes;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const auto first = text.find_first_not_of(" \t\r\n");
  auto questions = first != text.npos && text[first] == '[' ? from_array(text, path) : from_lines(text, path);
  if (questions.empty()) refuse(path, "no record");
  return questions;
}

namespace {

void add_answer(Json& json, const Generation& generation) {
  json["generated"] = generation.text;
  json["finish"] = name(generation.finish);
  json["new_tokens"] = generation.ids.size();
  if (generation.score) json["score"] = *generation.score;
}

}  // namespace

std::string answer_line(const Question& question, const Generation& generation) {
  auto json = Json::parse(question.json);
  add_answer(json, generation);
  for (const auto& other : generation.others) add_answer(json["others"].emplace_back(Json::object()), other);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace herd
