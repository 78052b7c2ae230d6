#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// The bytes of a file. @throws DataError naming it.
std::string read_text_file(const std::filesystem::path& file);

/// A value in a JSON file that knows its place, so that every complaint names file and path (`tokenizer.json: model.merges[3]`).
class JsonNode {
 public:
  using Json = nlohmann::json;
  JsonNode(const Json& value, std::string place) : value_(&value), place_(std::move(place)) {}

  /// The whole file. `storage` keeps what the node points to. @throws DataError where it is not JSON.
  static JsonNode parse(const std::filesystem::path& file, std::string_view text, Json& storage);

  const Json& value() const { return *value_; }
  const std::string& place() const { return place_; }
  /// Present and not null.
  bool has(std::string_view key) const;
  JsonNode at(std::string_view key) const;
  std::vector<JsonNode> items() const;
  std::string text() const;
  std::int64_t integer() const;
  bool boolean() const;
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise) const;
  [[noreturn]] void complain(std::string found, std::string expected, std::string remedy = {}) const;

 private:
  JsonNode child(const Json& value, std::string_view key) const;

  const Json* value_;
  std::string place_;
};

}  // namespace herd
