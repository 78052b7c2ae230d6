#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// JSON whose objects keep their order.
using Json = nlohmann::ordered_json;

/// @throws RecordFault where the text is not JSON in UTF-8, or an object has a field twice.
Json parse_json(std::string_view text);

/// `a number`, `an array`, …
const char* kind_of(const Json& value);

/// An object's fields, taken with a reason where one is not what it must be. Null counts as missing wherever a field may be missing.
class Fields {
 public:
  /// @param expected what such an object has, for messages
  /// @param where which part of the record it is (`turn 3`), empty: the record itself
  /// @throws RecordFault where `value` is no object
  Fields(const Json& value, std::string expected, std::string where = "");

  bool has(const std::string& name) const;
  const Json* find(const std::string& name) const;
  /// @throws RecordFault where it is missing, with the field that looks like it; all of these, where it is of another type
  const std::string& text(const std::string& name) const;
  const std::string& text_or_empty(const std::string& name) const;
  const Json& list(const std::string& name) const;
  const Json& at(const std::string& name) const;
  /// A text, or what is written as one word in JSON: a number or a truth value.
  std::string word_or_empty(const std::string& name) const;
  std::optional<double> number(const std::string& name) const;
  std::optional<bool> truth(const std::string& name) const;

  /// The field among those that `known` does not list which looks like `name` misspelt, or "".
  std::string misspelt(const std::string& name, const std::vector<std::string>& known = {}) const;

  [[noreturn]] void missing(const std::string& name) const;
  [[noreturn]] void wrong(const std::string& name, const std::string& wanted) const;
  std::string in_place() const { return where_.empty() ? "" : " in " + where_; }

 private:
  const Json& object_;
  std::string expected_, where_;
};

}  // namespace herd
