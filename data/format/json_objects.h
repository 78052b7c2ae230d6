#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "data/readers/json_record.h"
#include "runtime/base/error.h"

namespace herd {

/// One JSON object of a file, with its place for errors. Fields that are null read as absent.
class JsonObject {
 public:
  JsonObject(const nlohmann::ordered_json& value, std::string place) : value_(value), place_(std::move(place)) {}

  const nlohmann::ordered_json& value() const { return value_; }
  const std::string& place() const { return place_; }  ///< `FILE:LINE (record N)`
  /// The value of `key`, or null where there is none. @param kind expected: "a string", "a list", "an object", …: see json_objects.cpp.
  const nlohmann::ordered_json* find(std::string_view key, std::string_view kind) const;
  /// @throws DataError where the field is missing or of another kind.
  const nlohmann::ordered_json& at(std::string_view key, std::string_view kind) const;
  std::string text(std::string_view key) const;                        ///< required
  std::string text_or(std::string_view key, std::string other) const;  ///< missing or null: `other`
  bool flag(std::string_view key) const;                               ///< missing or null: false

  DataError error(std::string found, std::string expected, std::string remedy = "") const;

 private:
  const nlohmann::ordered_json& value_;
  std::string place_;
};

/// Objects of a file one at a time, their fields in order: a JSON array of objects, or JSON lines. Memory holds one object.
/// @throws DataError with file, line and record: broken JSON, something else than an object, no UTF-8, a file without an object.
void for_each_object(const std::filesystem::path& path, const std::function<void(const JsonObject&)>& take);

}  // namespace herd
