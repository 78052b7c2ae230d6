#include "sweep/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/base/config_files.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/text.h"
#include "sweep/draws.h"

namespace herd::sweep {
namespace {

namespace fs = std::filesystem;

// What the sweep says itself, or what would make another run of every point.
const std::vector<std::string> kOwn{"run.folder", "run.name", "checkpoint.resume", "train.stop_after"};
const std::vector<std::string> kWithoutEffect{"run",           "checkpoint.resume",  "checkpoint.every",        "checkpoint.keep",        "checkpoint.async",
                                              "data.cache",    "data.threads",       "model.threads",           "train.stop_after",       "parallel.check",
                                              "parallel.timeout_s", "parallel.load_timeout_s", "parallel.save_timeout_s"};

// {a: {b: value}} of a value whose key is a.b.
ConfigNode nested(ConfigNode value) {
  auto path = value.key;
  while (true) {
    const auto dot = path.rfind('.');
    value.key = path.substr(dot == std::string::npos ? 0 : dot + 1);
    auto parent = ConfigNode::map();
    parent.origin = parent.key_origin = value.key_origin;
    parent.items.push_back(std::move(value));
    value = std::move(parent);
    if (dot == std::string::npos) return value;
    path = path.substr(0, dot);
  }
}

ConfigNode* entry_at(ConfigNode& tree, std::string_view path) { return const_cast<ConfigNode*>(tree.at_path(path)); }

void erase_at(ConfigNode& tree, const std::string& path) {
  const auto dot = path.rfind('.');
  auto* parent = dot == std::string::npos ? &tree : entry_at(tree, path.substr(0, dot));
  const auto name = dot == std::string::npos ? path : path.substr(dot + 1);
  if (parent) std::erase_if(parent->items, [&](const ConfigNode& item) { return item.key == name; });
}

void put(ConfigNode& tree, const std::string& path, const std::string& text, const Origin& origin) {
  auto value = ConfigNode::scalar(text);
  value.key = path;
  value.origin = value.key_origin = origin;
  merge_config(tree, nested(std::move(value)));
}

fs::path locate_recipe(const SweepFile& sweep) {
  const auto& name = sweep.options.recipe;
  const auto origin = sweep.origin("recipe");
  auto places = config_folders();
  places.insert(places.begin(), sweep.file.parent_path());
  for (const auto& place : places) {
    auto candidate = (place / name).lexically_normal();
    if (candidate.extension() != ".yaml") candidate += ".yaml";
    if (fs::is_regular_file(candidate)) return candidate;
  }
  throw ConfigError({.who = origin.place(), .found = "'recipe' is " + name + ", which is no file", .expected = "a recipe beside this file, or in configs/", .remedy = ""});
}

}  // namespace

Plan::Plan(const SweepFile& sweep, Resolve resolve) : sweep_(sweep), resolve_(std::move(resolve)), axes_(read_space(sweep.options)) {
  const auto& options = sweep_.options;
  auto set = read_set(options);
  auto taken = kOwn;
  if (options.asha) taken.push_back("train.max_steps");
  if (options.repeats > 1) taken.insert(taken.end(), options.seed_keys.begin(), options.seed_keys.end());
  const auto refuse = [&](const std::string& key, const Origin& origin, bool of_set) {
    const bool seed = std::find(options.seed_keys.begin(), options.seed_keys.end(), key) != options.seed_keys.end();
    if (std::find(taken.begin(), taken.end(), key) == taken.end() || (of_set && seed)) return;
    throw ConfigError({.who = origin.place(), .found = fmt::format("'{}' in a sweep", key), .expected = "a key that the sweep does not set itself: " + join(taken), .remedy = ""});
  };
  for (const auto& value : set) refuse(value.key, value.key_origin, true);
  for (const auto& axis : axes_)
    for (std::size_t i = 0; i < axis.keys.size(); ++i) refuse(axis.keys[i], axis.key_origins[i], false);
  if (axes_.empty() && options.repeats == 1)
    throw ConfigError({.who = sweep_.origin("parameters").place(), .found = "no parameters", .expected = "keys of the recipe with their values", .remedy = "parameters: {train.learning_rate: [1e-4, 2e-4]}"});

  base_ = gather_config({.file = locate_recipe(sweep_), .overrides = {}});
  for (auto& value : set) merge_config(base_, nested(std::move(value)));
  if (options.asha) put(base_, "train.max_steps", std::to_string(options.asha->most), sweep_.origin("asha.most"));

  settings_ = draw(axes_, sweep_);
  if (options.repeats > 1) {
    const auto plain = resolved({.id = "", .setting = 0, .repeat = -1});
    for (const auto& key : options.seed_keys) {
      const auto* seed = plain.at_path(key);
      const auto number = seed ? number_of(*seed) : std::nullopt;
      if (!number) throw ConfigError({.who = sweep_.origin("seed_keys").place(), .found = "'" + key + "'", .expected = "a key of the recipe that holds a number", .remedy = ""});
      seeds_.push_back(static_cast<std::int64_t>(*number));
    }
  }
  std::vector<Point> all;
  for (std::size_t setting = 0; setting < settings_.size(); ++setting)
    for (std::int64_t repeat = 0; repeat < options.repeats; ++repeat) all.push_back({.id = "", .setting = setting, .repeat = repeat});
  parallel_for(std::ssize(all), 0, [&](std::int64_t i) {
    auto& point = all[static_cast<std::size_t>(i)];
    point.id = point_id(resolved(point));
  });
  std::map<std::string, std::size_t> known;
  for (auto& point : all) {
    if (known.emplace(point.id, point.setting).second) points_.push_back(std::move(point));
    else if (point.repeat == 0) ++same_;
  }
}

std::vector<std::string> Plan::keys() const {
  std::vector<std::string> keys;
  for (const auto& axis : axes_) keys.insert(keys.end(), axis.keys.begin(), axis.keys.end());
  return keys;
}

ConfigNode Plan::tree(const Point& point) const {
  auto tree = base_;
  for (const auto& value : settings_[point.setting]) merge_config(tree, nested(value));
  if (point.repeat >= 0)
    for (std::size_t i = 0; i < seeds_.size(); ++i) put(tree, sweep_.options.seed_keys[i], std::to_string(seeds_[i] + point.repeat), sweep_.origin("repeats"));
  return tree;
}

// What the schema says against a point stands at the place that the sweep says it, or at the point's first value.
ConfigNode Plan::resolved(const Point& point) const {
  try {
    return resolve_(tree(point));
  } catch (const ConfigError& error) {
    const auto& setting = settings_[point.setting];
    if (setting.empty() || error.complaint().who.starts_with(sweep_.file.string() + ":")) throw;
    throw ConfigError({.who = setting.back().origin.place(),
                       .found = fmt::format("the point {} is refused: {}", title(point), error.what()),
                       .expected = "",
                       .remedy = "'when' keeps a parameter to the points that it belongs to"});
  }
}

ConfigNode Plan::config(const Point& point, const fs::path& folder) const {
  auto tree = resolved(point);
  const Origin origin{.source = "sweep"};
  for (const auto& [key, text] : {std::pair{"run.folder", folder.string()}, std::pair{"run.name", std::string("run")}}) {
    auto* node = entry_at(tree, key);
    *node = ConfigNode::scalar(text, true);
    node->key = std::string(key).substr(4);
    node->origin = node->key_origin = origin;
  }
  return tree;
}

std::string Plan::title(const Point& point) const {
  std::vector<std::string> parts;
  for (const auto& value : settings_[point.setting]) parts.push_back(short_key(value.key, keys()) + "=" + short_value(value));
  if (sweep_.options.repeats > 1) parts.push_back(fmt::format("repeat {}", point.repeat + 1));
  return parts.empty() ? "as the recipe has it" : join(parts);
}

std::string point_id(ConfigNode resolved) {
  for (const auto& path : kWithoutEffect) erase_at(resolved, path);
  return fingerprint(to_yaml(resolved, false)).substr(0, 16);
}

std::string short_key(const std::string& key, const std::vector<std::string>& keys) {
  const auto leaf = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
  const auto name = leaf(key);
  return std::count_if(keys.begin(), keys.end(), [&](const std::string& other) { return leaf(other) == name; }) > 1 ? key : name;
}

std::string short_value(const ConfigNode& node) {
  const auto number = number_of(node);
  return number ? fmt::format("{:.4g}", *number) : node.is_scalar() ? node.text : to_flow(node);
}

}  // namespace herd::sweep
