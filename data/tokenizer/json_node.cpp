#include "data/tokenizer/json_node.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "runtime/base/error.h"

namespace herd {

std::string read_text_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream bytes;
  if (in) bytes << in.rdbuf();
  if (!in || in.bad()) throw DataError({.who = file.string(), .found = "cannot be read", .expected = "a readable file", .remedy = {}});
  return bytes.str();
}

JsonNode JsonNode::parse(const std::filesystem::path& file, std::string_view text, Json& storage) {
  try {
    storage = Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw DataError({.who = file.string(),
                     .found = fmt::format("broken JSON at byte {} of {}: {}", error.byte, text.size(), error.what()),
                     .expected = "a whole JSON file",
                     .remedy = "copy or download the file again"});
  }
  return {storage, file.string()};
}

JsonNode JsonNode::child(const Json& value, std::string_view key) const {
  const bool top = place_.find(": ") == std::string::npos;
  return {value, fmt::format("{}{}{}", place_, top ? ": " : ".", key)};
}

bool JsonNode::has(std::string_view key) const {
  if (!value_->is_object()) return false;
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonNode JsonNode::at(std::string_view key) const {
  if (!value_->is_object()) complain(fmt::format("a JSON {}", value_->type_name()), fmt::format("an object with the key '{}'", key));
  const auto found = value_->find(key);
  if (found == value_->end()) complain(fmt::format("no key '{}'", key), fmt::format("'{}' to be there", key));
  return child(*found, key);
}

std::vector<JsonNode> JsonNode::items() const {
  if (!value_->is_array()) complain(fmt::format("a JSON {}", value_->type_name()), "a list");
  std::vector<JsonNode> out;
  out.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) out.emplace_back((*value_)[i], fmt::format("{}[{}]", place_, i));
  return out;
}

std::string JsonNode::text() const {
  if (!value_->is_string()) complain(fmt::format("a JSON {}", value_->type_name()), "a string");
  return value_->get<std::string>();
}

std::int64_t JsonNode::integer() const {
  if (!value_->is_number_integer()) complain(fmt::format("a JSON {}", value_->type_name()), "an integer");
  return value_->get<std::int64_t>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) complain(fmt::format("a JSON {}", value_->type_name()), "true or false");
  return value_->get<bool>();
}

std::string JsonNode::text_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? at(key).text() : std::string(otherwise);
}

bool JsonNode::boolean_or(std::string_view key, bool otherwise) const { return has(key) ? at(key).boolean() : otherwise; }

std::int64_t JsonNode::integer_or(std::string_view key, std::int64_t otherwise) const { return has(key) ? at(key).integer() : otherwise; }

void JsonNode::complain(std::string found, std::string expected, std::string remedy) const {
  throw DataError({.who = place_, .found = std::move(found), .expected = std::move(expected), .remedy = std::move(remedy)});
}

}  // namespace herd
