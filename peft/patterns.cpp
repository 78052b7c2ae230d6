#include "peft/patterns.h"

#include <regex>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::regex compiled(const std::string& who, const std::string& text) {
  try {
    return std::regex(text, std::regex::ECMAScript);
  } catch (const std::regex_error&) {
    throw ConfigError({.who = who, .found = "'" + text + "'", .expected = "regular expressions (ECMAScript's grammar)", .remedy = ""});
  }
}

bool fits(const std::string& pattern, const std::string& name) {
  return std::regex_match(name, compiled("peft.rank_pattern and peft.alpha_pattern", "(.*\\.)?(" + pattern + ")"));
}

// -1: in none.
std::int64_t layer_of(const std::string& name, const std::vector<std::regex>& patterns) {
  std::smatch found;
  for (const auto& pattern : patterns)
    if (std::regex_search(name, found, pattern, std::regex_constants::match_continuous)) return std::stoll(found[1]);
  return -1;
}

}  // namespace

double by_pattern(const NumbersByName& patterns, const std::string& name, double otherwise) {
  for (const auto& [pattern, number] : patterns.values)
    if (fits(pattern, name)) return number;
  return otherwise;
}

void check_patterns(const std::string& key, const NumbersByName& patterns, const std::vector<NamedLinear>& targets) {
  for (const auto& [pattern, number] : patterns.values) {
    if (std::any_of(targets.begin(), targets.end(), [&](const NamedLinear& x) { return fits(pattern, x.name); })) continue;
    throw ConfigError({.who = "peft." + key,
                       .found = "'" + pattern + "', which names none of the updated layers",
                       .expected = "names of layers that peft.target_modules chooses, such as " + targets.front().name,
                       .remedy = ""});
  }
}

std::vector<NamedLinear> in_layers(const std::vector<NamedLinear>& targets, const std::vector<std::int64_t>& layers,
                                   const std::vector<std::string>& patterns) {
  if (layers.empty()) return targets;
  std::vector<std::regex> compiled_patterns;
  for (const auto& pattern : patterns) compiled_patterns.push_back(compiled("peft.layers_pattern", ".*\\." + pattern + "\\.(\\d+)\\."));
  if (patterns.empty()) compiled_patterns.emplace_back(".*\\.[^.]*\\.(\\d+)\\.");
  std::vector<NamedLinear> chosen;
  std::set<std::int64_t> left(layers.begin(), layers.end()), known;
  for (const auto& target : targets) {
    const auto layer = layer_of(target.name, compiled_patterns);
    if (layer >= 0) known.insert(layer);
    if (std::find(layers.begin(), layers.end(), layer) == layers.end()) continue;
    left.erase(layer);
    chosen.push_back(target);
  }
  if (!left.empty())
    throw ConfigError({.who = "peft.layers_to_transform",
                       .found = std::to_string(*left.begin()) + ", a layer without a target",
                       .expected = known.empty()
                                       ? "targets in numbered layers, as peft.layers_pattern names them"
                                       : "numbers from " + std::to_string(*known.begin()) + " to " + std::to_string(*known.rbegin()),
                       .remedy = ""});
  return chosen;
}

}  // namespace herd
