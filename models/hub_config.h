#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/base/error.h"

namespace herd {

/// Typed reads from a hub `config.json`, with errors that name the key.
class HubConfig {
 public:
  explicit HubConfig(const nlohmann::json& json) : json_(json) {}

  bool has(const std::string& key) const { return json_.contains(key) && !json_[key].is_null(); }

  template <class T>
  T get(const std::string& key) const {
    if (!has(key)) throw ConfigError({.who = "config.json", .found = "no '" + key + "'", .expected = "the key to be given", .remedy = ""});
    try {
      return json_[key].get<T>();
    } catch (const nlohmann::json::exception&) {
      throw ConfigError({.who = "config.json: '" + key + "'", .found = json_[key].dump(), .expected = kind<T>(), .remedy = ""});
    }
  }
  template <class T>
  T get(const std::string& key, T fallback) const {
    return has(key) ? get<T>(key) : fallback;
  }
  /// A size of at least one.
  std::int64_t size(const std::string& key) const { return at_least_one(key, get<std::int64_t>(key)); }
  std::int64_t size(const std::string& key, std::int64_t fallback) const { return at_least_one(key, get<std::int64_t>(key, fallback)); }
  const nlohmann::json& json() const { return json_; }

 private:
  static std::int64_t at_least_one(const std::string& key, std::int64_t value) {
    if (value < 1) throw ConfigError({.who = "config.json: '" + key + "'", .found = std::to_string(value), .expected = "at least 1", .remedy = ""});
    return value;
  }
  template <class T>
  static std::string kind() {
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    else if constexpr (std::is_integral_v<T>) return "an integer";
    else if constexpr (std::is_floating_point_v<T>) return "a number";
    else if constexpr (std::is_same_v<T, std::string>) return "a string";
    else return "another type";
  }
  const nlohmann::json& json_;
};

}  // namespace herd
