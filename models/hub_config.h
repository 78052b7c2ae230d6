#pragma once
#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace herd {

/// What a number may be: far beyond every model there is. What lies outside is a slip, or meant to break something.
struct NumberRange {
  double least, most;

  std::string text() const;  ///< `from 1 to 4096`
};
/// The range of a number, by its key. @throws ConfigError for a key that has none.
NumberRange range_of(const std::string& key);

/// The object that the text of a config.json or params.json is. @throws IoError naming the key where it ends to be JSON.
nlohmann::json parse_hub_json(const std::string& text, const std::string& who, const std::string& expected);

/// Typed reads from a hub `config.json`, with errors that name the key. Nothing is converted in silence: 64.5 is no size, 1 no bool. Every number
/// lies in its range.
class HubConfig {
 public:
  /// @param name how errors call it. @throws ConfigError where `json` is no object. Keeps a reference to it.
  explicit HubConfig(const nlohmann::json& json, std::string name = "config.json") : json_(json), name_(std::move(name)) {
    if (!json_.is_object())
      throw ConfigError({.who = name_, .found = json_.dump().substr(0, 60), .expected = "an object of keys", .remedy = ""});
  }

  bool has(const std::string& key) const { return json_.contains(key) && !json_.at(key).is_null(); }

  template <class T>
  T get(const std::string& key) const {
    if (!has(key)) throw ConfigError({.who = name_, .found = "no '" + key + "'", .expected = "the key to be given", .remedy = ""});
    const auto& value = json_.at(key);
    if (!is<T>(value)) throw ConfigError({.who = who(key), .found = value.dump().substr(0, 60), .expected = kind<T>(), .remedy = ""});
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      const auto range = range_of(key);
      if (const auto number = value.template get<double>(); !(number >= range.least && number <= range.most))
        throw ConfigError({.who = who(key), .found = value.dump().substr(0, 60), .expected = kind<T>() + " " + range.text(), .remedy = ""});
    }
    return value.get<T>();
  }
  template <class T>
  T get(const std::string& key, T fallback) const {
    return has(key) ? get<T>(key) : fallback;
  }
  /// A size. @param fallback where the key is left out; not looked at.
  std::int64_t size(const std::string& key) const { return get<std::int64_t>(key); }
  std::int64_t size(const std::string& key, std::int64_t fallback) const { return has(key) ? size(key) : fallback; }
  /// A size under the first of several names that is there: families' words for the same.
  std::int64_t size_of(std::initializer_list<const char*> keys) const {
    for (const auto* key : keys)
      if (has(key)) return size(key);
    return size(*keys.begin());
  }
  /// A list of strings.
  std::vector<std::string> list(const std::string& key) const {
    const auto& value = json_.at(key);
    std::vector<std::string> items;
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const auto& item) { return item.is_string(); }))
      throw ConfigError({.who = who(key), .found = value.dump().substr(0, 60), .expected = "a list of strings", .remedy = ""});
    for (const auto& item : value) items.push_back(item.template get<std::string>());
    return items;
  }
  /// @throws ConfigError where `value`, that of `key`, is no multiple of `divisor`, which is called `name`.
  void need_multiple(const std::string& key, std::int64_t value, std::int64_t divisor, const std::string& name) const {
    if (value % divisor != 0)
      throw ConfigError(
          {.who = who(key), .found = std::to_string(value), .expected = "a multiple of " + std::to_string(divisor) + ", " + name, .remedy = ""});
  }
  /// What is computed here is `only`; the key may be left out. @throws ConfigError where it says something else.
  template <class T>
  void need(const std::string& key, T only) const {
    if (const auto found = get<T>(key, only); found != only)
      throw ConfigError({.who = who(key), .found = nlohmann::json(found).dump(), .expected = nlohmann::json(only).dump(), .remedy = ""});
  }
  void need(const std::string& key, const char* only) const {
    if (const auto found = get<std::string>(key, only); found != only)
      throw ConfigError({.who = who(key), .found = "'" + found + "'", .expected = only, .remedy = ""});
  }
  /// An object within.
  HubConfig part(const std::string& key) const { return HubConfig(json_.at(key), who(key)); }
  /// `config.json: 'key'`, the subject of an error.
  std::string who(const std::string& key) const { return name_ + ": '" + key + "'"; }

 private:
  template <class T>
  static bool is(const nlohmann::json& value) {
    if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
    else if constexpr (std::is_integral_v<T>) return value.is_number_integer();
    else if constexpr (std::is_floating_point_v<T>) return value.is_number();
    else return value.is_string();
  }
  template <class T>
  static std::string kind() {
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    else if constexpr (std::is_integral_v<T>) return "an integer";
    else if constexpr (std::is_floating_point_v<T>) return "a number";
    else return "a string";
  }
  const nlohmann::json& json_;
  std::string name_;
};

/// A config of transformers 5, whose `rope_parameters` holds theta and scaling, in the words of those before it: `rope_theta`, `rope_scaling`.
inline nlohmann::json with_rope_scaling(nlohmann::json config) {
  if (!config.contains("rope_parameters") || !config["rope_parameters"].is_object()) return config;
  auto rope = config["rope_parameters"];
  config.erase("rope_parameters");
  if (rope.contains("rope_theta")) config["rope_theta"] = rope["rope_theta"];
  rope.erase("rope_theta");
  config.erase("rope_scaling");
  if (rope.contains("rope_type") && rope["rope_type"] != "default") config["rope_scaling"] = rope;
  return config;
}

}  // namespace herd
