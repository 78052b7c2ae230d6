#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace herd {

/// A request's body. @throws ApiError 400 for what is not UTF-8, no JSON object, or nested deeper than any request is (a recursive reader's stack would end).
nlohmann::json parse_body(std::string_view body);

/// The fields of an object of a request, each checked as it is read; null is a field that is not there. Fields that nobody asks for are not looked at.
class JsonFields {
 public:
  /// @param object outlives this. @param within what errors put before a field's name: `messages[2].`
  explicit JsonFields(const nlohmann::json& object, std::string within = "") : object_(object), within_(std::move(within)) {}

  /// nullptr: not there.
  const nlohmann::json* find(const char* key) const;
  std::string name(const char* key) const { return within_ + key; }

  // All @throw ApiError 400 naming the field where it is something else.
  std::string text(const char* key, const std::string& otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  double number(const char* key, double otherwise) const;
  std::int64_t integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t greatest) const;
  /// What herd cannot do: to leave it out would be another answer than the one asked for. @throws ApiError where it is there and is not `harmless`.
  void refuse(const char* key, const nlohmann::json& harmless, const char* why) const;

 private:
  const nlohmann::json& object_;
  std::string within_;
};

/// A value in an error: cut, so that an error is no copy of the request.
std::string shown(const nlohmann::json& value);

}  // namespace herd
