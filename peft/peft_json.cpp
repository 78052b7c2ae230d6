#include "peft/peft_json.h"

namespace herd {
namespace {

bool asks_for_nothing(const nlohmann::json& value) {
  return value.is_null() || value == false ||
         ((value.is_object() || value.is_array() || value.is_string()) && (value.is_string() ? value == "" : value.empty()));
}

}  // namespace

void PeftJson::read(const std::string& key, NumbersByName& value) {
  seen_.insert(key);
  if (!json_.contains(key) || json_[key].is_null()) return;
  if (!json_[key].is_object()) refuse(key, "an object of numbers");
  value.values.clear();
  for (const auto& [name, number] : json_[key].items()) {
    if (!number.is_number()) refuse(key, "an object of numbers");
    value.values.emplace_back(name, number.get<double>());
  }
}

void PeftJson::read(const std::string& key, OneOrMany& value) {
  value.single = holds_string(key);
  if (value.single) read(key, value.values.emplace_back());
  else read(key, value.values);
  std::sort(value.values.begin(), value.values.end());
}

void PeftJson::refuse(const std::string& key, const std::string& expected) const {
  throw ConfigError({.who = "adapter_config.json: '" + key + "'",
                     .found = json_.contains(key) ? json_.at(key).dump() : "nothing",
                     .expected = expected,
                     .remedy = ""});
}

void PeftJson::refuse_others(const nlohmann::ordered_json& unused) const {
  for (const auto& [key, value] : json_.items()) {
    if (seen_.contains(key) || asks_for_nothing(value)) continue;
    const bool known = unused.contains(key);
    if (known && nlohmann::json(unused[key]) == value) continue;
    refuse(key, known ? nlohmann::json(unused[key]).dump() + ", which is all that herd computes"
                      : "no such key: it may change what the adapter computes");
  }
}

}  // namespace herd
