#include "runtime/base/config_value.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "runtime/base/config.h"

namespace herd {
namespace {

template <class N>
bool whole_text(std::string_view text, N& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

// `1e6` is a whole number too, as long as a double holds it exactly.
bool parse_whole(std::string_view text, std::int64_t& value) {
  if (whole_text(text, value)) return true;
  constexpr double kExact = 9007199254740992.0;  // 2^53
  double number = 0;
  const bool powers = text.find_first_of("eE") != std::string_view::npos;
  if (!powers || !whole_text(text, number) || std::abs(number) > kExact || number != std::floor(number)) return false;
  value = static_cast<std::int64_t>(number);
  return true;
}

}  // namespace

const ConfigNode* read_value(const ConfigNode& node, bool& value, const Field&) {
  if (!node.is_scalar() || node.quoted || (node.text != "true" && node.text != "false")) return &node;
  value = node.text == "true";
  return nullptr;
}

const ConfigNode* read_value(const ConfigNode& node, std::int64_t& value, const Field& field) {
  const bool fits = node.is_scalar() && !node.quoted && parse_whole(node.text, value) && field.limits.admit(static_cast<double>(value));
  return fits ? nullptr : &node;
}

const ConfigNode* read_value(const ConfigNode& node, double& value, const Field& field) {
  const bool fits = node.is_scalar() && !node.quoted && whole_text(node.text, value) && std::isfinite(value) && field.limits.admit(value);
  return fits ? nullptr : &node;
}

const ConfigNode* read_value(const ConfigNode& node, std::string& value, const Field& field) {
  if (!node.is_scalar() || !field.allows(node.text)) return &node;
  value = node.text;
  return nullptr;
}

const ConfigNode* read_value(const ConfigNode& node, Every& value, const Field& field) {
  if (!node.is_scalar()) return &node;
  if (node.text == "never") {
    value = {};
    return nullptr;
  }
  const auto space = node.text.find(' ');
  if (space == std::string::npos) return &node;
  const auto unit = node.text.substr(node.text.find_first_not_of(' ', space));
  const bool steps = unit == "step" || unit == "steps";
  const bool epochs = unit == "epoch" || unit == "epochs";
  const bool fits = (steps || epochs) && parse_whole(std::string_view(node.text).substr(0, space), value.count) && value.count > 0 &&
                    field.limits.admit(static_cast<double>(value.count));
  value.unit = epochs ? Every::Unit::kEpochs : Every::Unit::kSteps;
  return fits ? nullptr : &node;
}

const ConfigNode* read_value(const ConfigNode& node, std::vector<std::string>& value, const Field& field) {
  value.clear();
  if (node.is_scalar() && !node.text.empty()) return read_value(node, value.emplace_back(), field);
  if (!node.is_list()) return &node;
  for (const auto& item : node.items)
    if (const auto* misfit = read_value(item, value.emplace_back(), field)) return misfit;
  return nullptr;
}

const ConfigNode* read_value(const ConfigNode& node, OneOrMany& value, const Field& field) {
  value.single = node.is_scalar();
  return read_value(node, value.values, field);
}

const ConfigNode* read_value(const ConfigNode& node, TextMap& value, const Field& field) {
  value.clear();
  if (node.is_null()) return nullptr;
  if (!node.is_map()) return &node;
  for (const auto& entry : node.items)
    if (const auto* misfit = read_value(entry, value[entry.key], field)) return misfit;
  return nullptr;
}

ConfigNode write_value(bool value) { return ConfigNode::scalar(value ? "true" : "false"); }
ConfigNode write_value(std::int64_t value) { return ConfigNode::scalar(std::to_string(value)); }
ConfigNode write_value(double value) { return ConfigNode::scalar(fmt::format("{}", value)); }
ConfigNode write_value(const std::string& value) { return ConfigNode::scalar(value, true); }

ConfigNode write_value(const Every& value) {
  if (value.never()) return ConfigNode::scalar("never");
  const char* unit = value.unit == Every::Unit::kSteps ? "step" : "epoch";
  return ConfigNode::scalar(fmt::format("{} {}{}", value.count, unit, value.count == 1 ? "" : "s"));
}

ConfigNode write_value(const TextMap& value) {
  auto out = ConfigNode::map();
  for (const auto& [key, text] : value) {
    out.items.push_back(write_value(text));
    out.items.back().key = key;
  }
  return out;
}

ConfigNode write_value(const OneOrMany& value) { return value.single ? write_value(value.values.at(0)) : write_value(value.values); }

}  // namespace herd
