#include "data/readers/json_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/readers/fault.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

/// What the parser says, without its own positions and without quoting the file at length.
std::string reason(const nlohmann::json::exception& error) {
  std::string_view text = error.what();
  if (const auto dash = text.find(" - "); dash != text.npos) text.remove_prefix(dash + 3);
  if (const auto quote = text.find("; last read"); quote != text.npos) text = text.substr(0, quote);
  return "broken JSON (" + std::string(text.substr(0, 160)) + ")";
}

/// Sees the names of each object as they pass: the tree would keep one of two.
class TwiceSeen {
 public:
  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      names_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      names_.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      auto& seen = names_.back();
      if (std::find(seen.begin(), seen.end(), name) != seen.end())
        throw RecordFault{.found = fmt::format("field '{}' twice", name), .expected = "each field once"};
      seen.push_back(name);
    }
    return true;
  }

 private:
  std::vector<std::vector<std::string>> names_;
};

const std::string kEmpty;

}  // namespace

Json parse_json(std::string_view text) {
  try {
    return Json::parse(text.begin(), text.end(), TwiceSeen());
  } catch (const Json::parse_error& error) {
    require_text(text);
    const auto before = text.substr(0, std::min(error.byte, text.size()));
    throw RecordFault{.found = reason(error),
                      .expected = "a record as one JSON object",
                      .lines_below = static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n'))};
  }
}

const char* kind_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "an array";
    case Json::value_t::string: return "a string";
    case Json::value_t::boolean: return "a truth value";
    default: return "a number";
  }
}

Fields::Fields(const Json& value, std::string expected, std::string where)
    : object_(value), expected_(std::move(expected)), where_(std::move(where)) {
  if (!value.is_object()) throw RecordFault{.found = kind_of(value) + in_place(), .expected = "an object with " + expected_};
}

const Json* Fields::find(const std::string& name) const {
  const auto at = object_.find(name);
  return at == object_.end() ? nullptr : &*at;
}

bool Fields::has(const std::string& name) const {
  const auto* value = find(name);
  return value && !value->is_null();
}

const Json& Fields::at(const std::string& name) const {
  const auto* value = find(name);
  return value ? *value : (missing(name), object_);
}

const std::string& Fields::text(const std::string& name) const {
  const auto& value = at(name);
  if (!value.is_string()) wrong(name, "a string");
  return value.get_ref<const std::string&>();
}

const std::string& Fields::text_or_empty(const std::string& name) const { return has(name) ? text(name) : kEmpty; }

const Json& Fields::list(const std::string& name) const {
  const auto& value = at(name);
  if (!value.is_array()) wrong(name, "a list");
  return value;
}

std::string Fields::word_or_empty(const std::string& name) const {
  if (!has(name)) return "";
  const auto& value = at(name);
  if (value.is_structured()) wrong(name, "a string");
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::optional<double> Fields::number(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  if (!at(name).is_number()) wrong(name, "a number");
  return at(name).get<double>();
}

std::optional<bool> Fields::truth(const std::string& name) const {
  if (!has(name)) return std::nullopt;
  if (!at(name).is_boolean()) wrong(name, "true or false");
  return at(name).get<bool>();
}

std::string Fields::misspelt(const std::string& name, const std::vector<std::string>& known) const {
  std::vector<std::string> others;
  for (const auto& [other, value] : object_.items())
    if (std::find(known.begin(), known.end(), other) == known.end()) others.push_back(other);
  return nearest(name, others);
}

void Fields::missing(const std::string& name) const {
  const auto close = misspelt(name);
  throw RecordFault{.found = fmt::format("no field '{}'{}", name, in_place()),
                    .expected = expected_,
                    .remedy = close.empty() ? "" : fmt::format("is '{}' meant to be '{}'?", close, name)};
}

void Fields::wrong(const std::string& name, const std::string& wanted) const {
  throw RecordFault{.found = fmt::format("{} in field '{}'{}", kind_of(at(name)), name, in_place()), .expected = wanted};
}

}  // namespace herd
