#include "sweep/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "runtime/base/text.h"

namespace herd::sweep {
namespace {

constexpr const char* kForms = "a list of values, or {low, high} of numbers, or {values, when}";

ConfigError wrong(const Origin& origin, const std::string& key, const std::string& found, const std::string& expected, const std::string& remedy = "") {
  return ConfigError({.who = origin.place(), .found = fmt::format("'{}' {}", key, found), .expected = expected, .remedy = remedy});
}

double number(const ConfigNode& spec, const std::string& key, const char* name) {
  const auto* node = spec.find(name);
  if (!node) throw wrong(spec.origin, key, fmt::format("has no '{}'", name), "numbers 'low' and 'high'");
  const auto value = number_of(*node);
  if (!value || !std::isfinite(*value)) throw wrong(node->origin, key, fmt::format("has '{}: {}'", name, to_flow(*node)), "a number");
  return *value;
}

bool truth(const ConfigNode& node, const std::string& key) {
  if (node.text == "true" || node.text == "false") return node.text == "true";
  throw wrong(node.origin, key, fmt::format("has '{}: {}'", node.key, to_flow(node)), "true or false");
}

Range read_range(const ConfigNode& spec, const std::string& key) {
  Range range{.low = number(spec, key, "low"), .high = number(spec, key, "high")};
  if (const auto* scale = spec.find("scale")) {
    if (scale->text != "linear" && scale->text != "log") throw wrong(scale->origin, key, fmt::format("has 'scale: {}'", to_flow(*scale)), "linear or log");
    range.log = scale->text == "log";
  }
  if (const auto* whole = spec.find("int")) range.whole = truth(*whole, key);
  if (spec.find("count")) {
    const auto count = number(spec, key, "count");
    if (count != std::floor(count) || count < 1 || count > 100000) throw wrong(spec.find("count")->origin, key, fmt::format("has 'count: {:g}'", count), "a whole number from 1 to 100,000");
    range.count = static_cast<std::int64_t>(count);
  }
  if (range.low > range.high) throw wrong(spec.origin, key, fmt::format("goes from {:g} to {:g}", range.low, range.high), "a low that is not above its high");
  if (range.log && range.low <= 0) throw wrong(spec.origin, key, fmt::format("begins at {:g} on a scale of logarithms", range.low), "a low above 0");
  if (range.whole && (range.low != std::floor(range.low) || range.high != std::floor(range.high)))
    throw wrong(spec.origin, key, fmt::format("goes from {:g} to {:g}", range.low, range.high), "whole numbers where int is true");
  return range;
}

std::vector<Condition> read_when(const ConfigNode& node, const std::string& key, const std::vector<Axis>& earlier) {
  if (!node.is_map()) throw wrong(node.origin, key, "has a 'when' of " + to_flow(node), "{KEY: VALUE} or {KEY: [VALUE, …]}");
  std::vector<Condition> conditions;
  for (const auto& entry : node.items) {
    const auto knows = [&](const Axis& axis) { return std::find(axis.keys.begin(), axis.keys.end(), entry.key) != axis.keys.end(); };
    if (std::none_of(earlier.begin(), earlier.end(), knows))
      throw wrong(entry.key_origin, key, "depends on '" + entry.key + "', which is no parameter before it", "a parameter that stands before it");
    conditions.push_back({entry.key, entry.is_list() ? entry.items : std::vector<ConfigNode>{entry}});
  }
  return conditions;
}

Axis read_parameter(const ConfigNode& node, const std::vector<Axis>& earlier) {
  static const std::vector<std::string> kKnown{"low", "high", "scale", "int", "count", "values", "when"};
  const auto& key = node.key;
  Axis axis{.keys = {key}, .key_origins = {node.key_origin}, .choices = {}, .range = {}, .origin = node.origin, .when = {}};
  const auto take = [&](const ConfigNode& list) {
    if (!list.is_list()) throw wrong(list.origin, key, "is " + to_flow(list), kForms);
    if (list.items.empty()) throw wrong(list.origin, key, "has no values", "at least one");
    for (const auto& value : list.items) axis.choices.push_back({value});
  };
  if (!node.is_map()) {
    take(node);
    return axis;
  }
  const bool listed = node.find("values");
  for (const auto& part : node.items) {
    const bool fits = part.key == "when" || (part.key == "values") == listed;
    if (std::find(kKnown.begin(), kKnown.end(), part.key) != kKnown.end() && fits) continue;
    const auto close = nearest(part.key, kKnown);
    throw wrong(part.key_origin, key, "has an unknown '" + part.key + "'", kForms, close.empty() || close == part.key ? "" : "did you mean '" + close + "'?");
  }
  if (listed) take(*node.find("values"));
  else axis.range = read_range(node, key);
  if (const auto* when = node.find("when")) axis.when = read_when(*when, key, earlier);
  return axis;
}

Axis read_pair(const ConfigNode& node) {
  Axis axis{.keys = {}, .key_origins = {}, .choices = {}, .range = {}, .origin = node.origin, .when = {}};
  if (!node.is_map() || node.items.empty()) throw wrong(node.origin, "paired", "holds " + to_flow(node), "mappings of keys to lists of one length");
  for (const auto& entry : node.items) {
    if (!entry.is_list() || entry.items.empty()) throw wrong(entry.origin, entry.key, "is " + to_flow(entry), "a list of values");
    if (!axis.keys.empty() && entry.items.size() != axis.choices.size())
      throw wrong(entry.origin, entry.key, "has " + plural(std::ssize(entry.items), "value"),
                  fmt::format("{}, as '{}' has, which it is paired with", axis.choices.size(), axis.keys.front()));
    axis.choices.resize(entry.items.size());
    axis.keys.push_back(entry.key);
    axis.key_origins.push_back(entry.key_origin);
    for (std::size_t i = 0; i < entry.items.size(); ++i) axis.choices[i].push_back(entry.items[i]);
  }
  return axis;
}

// One key may not be said twice, nor as a part of another.
void refuse_conflicts(const Setting& set, const std::vector<Axis>& axes) {
  std::map<std::string, Origin> said;
  const auto add = [&](const std::string& key, const Origin& origin) {
    for (const auto& [other, place] : said) {
      const bool same = other == key || other.starts_with(key + ".") || key.starts_with(other + ".");
      if (same) throw wrong(origin, key, "is given twice", "one place for a key", "'" + other + "' stands at " + place.place());
    }
    said[key] = origin;
  };
  for (const auto& value : set) add(value.key, value.key_origin);
  for (const auto& axis : axes)
    for (std::size_t i = 0; i < axis.keys.size(); ++i) add(axis.keys[i], axis.key_origins[i]);
}

void add_leaves(const ConfigNode& node, const std::string& path, Setting& out) {
  for (const auto& entry : node.items) {
    const auto key = path.empty() ? entry.key : path + "." + entry.key;
    if (entry.is_map() && !entry.items.empty()) {
      add_leaves(entry, key, out);
      continue;
    }
    std::erase_if(out, [&](const ConfigNode& known) { return known.key == key; });  // a command line's comes after the file's
    out.push_back(entry);
    out.back().key = key;
  }
}

}  // namespace

double Range::at(double part) const {
  if (!whole) return log ? std::exp(std::lerp(std::log(low), std::log(high), part)) : std::lerp(low, high, part);
  const auto end = high + 1;
  const auto number = log ? std::exp(std::lerp(std::log(low), std::log(end), part)) : std::lerp(low, end, part);
  return std::clamp(std::floor(number), low, high);
}

std::vector<double> Range::grid() const {
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto part = count == 1 ? 0 : static_cast<double>(i) / static_cast<double>(count - 1);
    auto number = log ? std::exp(std::lerp(std::log(low), std::log(high), part)) : std::lerp(low, high, part);
    if (i == 0) number = low;
    else if (i == count - 1) number = high;  // to the bit, whatever log and exp make of it
    if (whole) number = std::round(number);
    if (numbers.empty() || number != numbers.back()) numbers.push_back(number);
  }
  return numbers;
}

std::optional<double> number_of(const ConfigNode& node) {
  if (!node.is_scalar() || node.quoted) return std::nullopt;
  double value = 0;
  const auto *begin = node.text.data(), *end = begin + node.text.size();
  const auto [last, error] = std::from_chars(begin + (node.text.starts_with('+') ? 1 : 0), end, value);
  return error == std::errc{} && last == end ? std::optional(value) : std::nullopt;
}

bool same_value(const ConfigNode& a, const ConfigNode& b) {
  const auto x = number_of(a), y = number_of(b);
  return x && y ? *x == *y : to_flow(a) == to_flow(b);
}

bool Axis::active(const Setting& so_far) const {
  return std::all_of(when.begin(), when.end(), [&](const Condition& condition) {
    const auto value = std::find_if(so_far.begin(), so_far.end(), [&](const ConfigNode& node) { return node.key == condition.key; });
    return value != so_far.end() &&
           std::any_of(condition.values.begin(), condition.values.end(), [&](const ConfigNode& wanted) { return same_value(wanted, *value); });
  });
}

namespace {

Setting with_keys(const Axis& axis, std::vector<ConfigNode> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i].key = axis.keys[i];
    values[i].key_origin = axis.key_origins[i];
  }
  return values;
}

ConfigNode number_node(const Axis& axis, double number) {
  auto node = axis.range->whole ? herd::write_value(static_cast<std::int64_t>(number)) : herd::write_value(number);
  node.origin = axis.origin;
  return node;
}

}  // namespace

Setting Axis::at(double part) const {
  if (range) return with_keys(*this, {number_node(*this, range->at(part))});
  const auto choice = std::min(static_cast<std::size_t>(part * static_cast<double>(choices.size())), choices.size() - 1);
  return with_keys(*this, choices[choice]);
}

std::vector<Setting> Axis::all() const {
  std::vector<Setting> out;
  if (range && range->count == 0)
    throw wrong(origin, keys.front(), "is a range without a count, where method is grid", "a list of values, or a count of them", "count: 5");
  if (range)
    for (const auto number : range->grid()) out.push_back(with_keys(*this, {number_node(*this, number)}));
  for (const auto& choice : choices) out.push_back(with_keys(*this, choice));
  return out;
}

Setting read_set(const SweepOptions& options) {
  const auto& node = options.set.node;
  if (!node.is_map() && !node.is_null()) throw wrong(node.origin, "set", "is a list", "a mapping of keys to values, such as {train.epochs: 1}");
  Setting set;
  add_leaves(node, "", set);
  return set;
}

std::vector<Axis> read_space(const SweepOptions& options) {
  const auto &parameters = options.parameters.node, &paired = options.paired.node;
  if (!parameters.is_map() && !parameters.is_null()) throw wrong(parameters.origin, "parameters", "is a list", "a mapping of keys to " + std::string(kForms));
  if (!paired.is_list() && !paired.is_null()) throw wrong(paired.origin, "paired", "is a mapping", "a list of mappings of keys to lists of one length");
  std::vector<Axis> axes;
  for (const auto& node : paired.items) axes.push_back(read_pair(node));
  for (const auto& node : parameters.items) axes.push_back(read_parameter(node, axes));
  refuse_conflicts(read_set(options), axes);
  return axes;
}

}  // namespace herd::sweep
