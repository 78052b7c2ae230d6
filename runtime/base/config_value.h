#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/config_node.h"

namespace herd {

/// How often something happens: `200 steps`, `1 epoch`, `never`.
struct Every {
  enum class Unit { kSteps, kEpochs };
  std::int64_t count = 0;  ///< 0: never
  Unit unit = Unit::kSteps;

  static Every steps(std::int64_t n) { return {n, Unit::kSteps}; }
  static Every epochs(std::int64_t n) { return {n, Unit::kEpochs}; }
  bool never() const { return count == 0; }
  bool operator==(const Every&) const = default;
};

/// One string or a list of strings, kept apart because they may mean different things (a pattern, or names).
struct OneOrMany {
  std::vector<std::string> values;
  bool single = false;  ///< written as one string
  bool operator==(const OneOrMany&) const = default;
};

struct Field;

/// Each value type of a config: its name for people, reading and writing. `read_value` returns the part of `node` that does not
/// fit (the type, or the field's range or allowed values), or null where all is well; it leaves `value` alone or half read then.
const ConfigNode* read_value(const ConfigNode& node, bool& value, const Field& field);
const ConfigNode* read_value(const ConfigNode& node, std::int64_t& value, const Field& field);
const ConfigNode* read_value(const ConfigNode& node, double& value, const Field& field);
const ConfigNode* read_value(const ConfigNode& node, std::string& value, const Field& field);
const ConfigNode* read_value(const ConfigNode& node, Every& value, const Field& field);
const ConfigNode* read_value(const ConfigNode& node, OneOrMany& value, const Field& field);
/// A single string, unless it is empty, reads as a list of one.
const ConfigNode* read_value(const ConfigNode& node, std::vector<std::string>& value, const Field& field);
using TextMap = std::map<std::string, std::string>;
const ConfigNode* read_value(const ConfigNode& node, TextMap& value, const Field& field);

ConfigNode write_value(bool value);
ConfigNode write_value(std::int64_t value);
ConfigNode write_value(double value);
ConfigNode write_value(const std::string& value);
ConfigNode write_value(const Every& value);
ConfigNode write_value(const OneOrMany& value);
ConfigNode write_value(const TextMap& value);

template <class V>
concept OtherInteger = std::integral<V> && !std::same_as<V, bool> && !std::same_as<V, std::int64_t>;

template <class V>
struct ValueName;
template <OtherInteger V> struct ValueName<V> { static std::string get() { return "a whole number"; } };
template <> struct ValueName<bool> { static std::string get() { return "true or false"; } };
template <> struct ValueName<std::int64_t> { static std::string get() { return "a whole number"; } };
template <> struct ValueName<double> { static std::string get() { return "a number"; } };
template <> struct ValueName<std::string> { static std::string get() { return "a string"; } };
template <>
struct ValueName<Every> {
  static std::string get() { return "a count and its unit, such as '200 steps' or '1 epoch', or 'never'"; }
};
template <> struct ValueName<TextMap> { static std::string get() { return "a mapping of names to strings"; } };
template <> struct ValueName<OneOrMany> { static std::string get() { return "a string or a list of strings"; } };
template <class V> struct ValueName<std::optional<V>> { static std::string get() { return ValueName<V>::get() + " or null"; } };
template <class V> struct ValueName<std::vector<V>> { static std::string get() { return "a list, each item " + ValueName<V>::get(); } };
template <>
struct ValueName<std::vector<std::string>> {
  static std::string get() { return "a list of strings (one alone needs no brackets)"; }
};

/// Every other integer type, by way of int64; what it cannot hold does not fit.
template <OtherInteger V>
const ConfigNode* read_value(const ConfigNode& node, V& value, const Field& field) {
  std::int64_t wide = 0;
  if (const auto* misfit = read_value(node, wide, field)) return misfit;
  if (!std::in_range<V>(wide)) return &node;
  value = static_cast<V>(wide);
  return nullptr;
}
template <OtherInteger V>
ConfigNode write_value(V value) {
  return write_value(static_cast<std::int64_t>(value));
}

template <class V>
const ConfigNode* read_value(const ConfigNode& node, std::optional<V>& value, const Field& field) {
  value.reset();
  return node.is_null() ? nullptr : read_value(node, value.emplace(), field);
}
template <class V>
const ConfigNode* read_value(const ConfigNode& node, std::vector<V>& value, const Field& field) {
  if (!node.is_list()) return &node;
  value.clear();
  for (const auto& item : node.items)
    if (const auto* misfit = read_value(item, value.emplace_back(), field)) return misfit;
  return nullptr;
}
template <class V>
ConfigNode write_value(const std::optional<V>& value) {
  return value ? write_value(*value) : ConfigNode{};
}
template <class V>
ConfigNode write_value(const std::vector<V>& value) {
  auto node = ConfigNode::list();
  for (const auto& item : value) node.items.push_back(write_value(item));
  return node;
}

}  // namespace herd
