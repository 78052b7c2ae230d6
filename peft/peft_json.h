#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "runtime/base/config_numbers.h"
#include "runtime/base/error.h"

namespace herd {

/// Reads one method's keys of adapter_config.json and refuses what it leaves over. null stands for an absent key.
class PeftJson {
 public:
  explicit PeftJson(const nlohmann::json& json) : json_(json) {}

  /// Leaves `value` where the key is absent. @throws ConfigError where it holds another type.
  template <class T>
  void read(const std::string& key, T& value) {
    seen_.insert(key);
    if (!json_.contains(key) || json_[key].is_null()) return;
    try {
      value = json_[key].get<T>();
    } catch (const nlohmann::json::exception&) {
      refuse(key, "another type");
    }
  }
  /// An object of numbers.
  void read(const std::string& key, NumbersByName& value);
  /// A string, or a list of strings in any order (PEFT keeps a set).
  void read(const std::string& key, OneOrMany& value);
  /// A single value, or a list.
  template <class T>
  void read_one_or_many(const std::string& key, std::vector<T>& value) {
    if (T one; json_.contains(key) && !json_[key].is_null() && !json_[key].is_array()) {
      read(key, one);
      value = {one};
    } else {
      read(key, value);
    }
  }
  bool holds_string(const std::string& key) const { return json_.contains(key) && json_[key].is_string(); }
  void ignore(const std::string& key) { seen_.insert(key); }

  /// @throws ConfigError: this key's value is not what `expected` says.
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
  /// @throws ConfigError for the first key that was neither read nor ignored and asks for something: its value is not `unused`'s of that
  /// name and is not null, false or empty.
  void refuse_others(const nlohmann::ordered_json& unused) const;

 private:
  const nlohmann::json& json_;
  std::set<std::string> seen_;
};

}  // namespace herd
