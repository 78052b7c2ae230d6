#include "infer/server/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/tokenizer/utf8.h"
#include "infer/server/api_error.h"

namespace herd {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kDeepest = 32;

// Brackets outside of strings, before a parser meets them.
std::int64_t depth(std::string_view text) {
  std::int64_t depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      else if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Json parse_body(std::string_view body) {
  const auto refuse = [](std::string why) { throw ApiError(400, "the body: " + why, "", "invalid_json"); };
  if (const auto at = invalid_utf8(body)) refuse(fmt::format("found a byte that is no UTF-8 at {}; expected JSON in UTF-8", *at));
  if (depth(body) > kDeepest) refuse(fmt::format("nested deeper than {}", kDeepest));
  auto json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) refuse("found broken JSON; expected an object");
  if (!json.is_object()) refuse(fmt::format("found {}; expected an object", json.type_name()));
  return json;
}

std::string shown(const Json& value) {
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= 60) return text;
  return replace_invalid_utf8(text.substr(0, 60)) + "…";
}

const Json* JsonFields::find(const char* key) const {
  const auto at = object_.find(key);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

std::string JsonFields::text(const char* key, const std::string& otherwise) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  if (!value->is_string()) throw ApiError::field(name(key), shown(*value), "a string");
  return value->get<std::string>();
}

bool JsonFields::flag(const char* key, bool otherwise) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) throw ApiError::field(name(key), shown(*value), "true or false");
  return value->get<bool>();
}

double JsonFields::number(const char* key, double otherwise) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  if (!value->is_number()) throw ApiError::field(name(key), shown(*value), "a number");
  return value->get<double>();
}

std::int64_t JsonFields::integer(const char* key, std::int64_t otherwise, std::int64_t least, std::int64_t greatest) const {
  const auto* value = find(key);
  if (!value) return otherwise;
  // 16.0 is whole too; an unsigned number may be past the signed ones.
  const auto real = value->is_number() ? value->get<double>() : 0.5;
  if (real != std::floor(real) || real < static_cast<double>(least) || real > static_cast<double>(greatest))
    throw ApiError::field(name(key), shown(*value), fmt::format("a whole number from {} to {}", least, greatest));
  return value->is_number_integer() ? value->get<std::int64_t>() : static_cast<std::int64_t>(real);
}

void JsonFields::refuse(const char* key, const Json& harmless, const char* why) const {
  const auto* value = find(key);
  if (value && *value != harmless) throw ApiError(400, fmt::format("'{}': {}", name(key), why), name(key), "unsupported");
}

}  // namespace herd
