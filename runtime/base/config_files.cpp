#include "runtime/base/config_files.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace fs = std::filesystem;
namespace {

class Includer {
 public:
  explicit Includer(const std::vector<fs::path>& folders) : folders_(folders) {}

  ConfigNode read(const fs::path& file, const std::string& include) {
    auto own = read_yaml(file, include);
    if (own.is_null()) own.kind = ConfigNode::Kind::kMap;  // a file of comments
    if (!own.is_map())
      throw ConfigError(
          {.who = own.origin.place(), .found = "a list or a single value", .expected = "a mapping of keys to values", .remedy = ""});
    auto merged = ConfigNode::map();
    merged.origin = own.origin;
    open_.push_back({fs::weakly_canonical(file), include.empty() ? file.string() : include});
    const auto is_include = [](const ConfigNode& item) { return item.key == "include"; };
    if (const auto* names = own.find("include")) {
      for (const auto& name : as_names(*names)) merge_config(merged, read(locate(name, file), name.text));
      std::erase_if(own.items, is_include);
    }
    open_.pop_back();
    merge_config(merged, std::move(own));
    return merged;
  }

 private:
  struct Open {
    fs::path file;
    std::string name;
  };

  static std::vector<ConfigNode> as_names(const ConfigNode& node) {
    auto names = node.is_list() ? node.items : std::vector<ConfigNode>{node};
    for (const auto& name : names) {
      if (!name.is_scalar() || name.text.empty())
        throw ConfigError({.who = name.origin.place(),
                           .found = "'include' holds " + to_flow(name),
                           .expected = "names such as models/llama",
                           .remedy = ""});
    }
    return names;
  }

  fs::path locate(const ConfigNode& name, const fs::path& from) const {
    std::vector<fs::path> places{from.parent_path()};
    places.insert(places.end(), folders_.begin(), folders_.end());
    for (const auto& place : places) {
      auto candidate = place / name.text;
      if (candidate.extension() != ".yaml") candidate += ".yaml";
      if (!fs::is_regular_file(candidate)) continue;
      refuse_cycle(name, candidate);
      return candidate;
    }
    std::vector<std::string> searched;
    for (const auto& place : places) searched.push_back(place.empty() ? "." : place.string());
    const auto close = nearest(name.text, known_names());
    throw ConfigError({.who = name.origin.place(),
                       .found = "no config named '" + name.text + "' in " + join(searched),
                       .expected = "",
                       .remedy = close.empty() ? "HERD_CONFIGS names further folders" : "did you mean '" + close + "'?"});
  }

  void refuse_cycle(const ConfigNode& name, const fs::path& candidate) const {
    const auto file = fs::weakly_canonical(candidate);
    const auto first = std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.file == file; });
    if (first == open_.end()) return;
    std::vector<std::string> round;
    for (auto at = first; at != open_.end(); ++at) round.push_back(at->name);
    round.push_back(name.text);
    throw ConfigError(
        {.who = name.origin.place(), .found = "a config includes itself: " + join(round, " > "), .expected = "", .remedy = ""});
  }

  std::vector<std::string> known_names() const {
    std::vector<std::string> names;
    for (const auto& folder : folders_) {
      std::error_code missing;
      for (const auto& entry : fs::recursive_directory_iterator(folder, missing))
        if (entry.path().extension() == ".yaml") names.push_back(fs::relative(entry.path(), folder).replace_extension().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::vector<fs::path>& folders_;
  std::vector<Open> open_;
};

ConfigNode override_tree(const std::string& text, const std::map<std::string, std::string>& aliases) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError({.who = "command line", .found = "'" + text + "'", .expected = "key.path=value, as in train.epochs=3", .remedy = ""});
  }
  const Origin origin{.source = "command line"};
  auto path = text.substr(0, equals);
  if (const auto alias = aliases.find(path); alias != aliases.end()) path = alias->second;
  auto node = parse_yaml(text.substr(equals + 1), Origin{.source = "command line '" + text + "'"}, false);
  const auto relabel = [&](auto& self, ConfigNode& at) -> void {
    at.origin = at.key_origin = origin;
    for (auto& item : at.items) self(self, item);
  };
  relabel(relabel, node);
  while (!path.empty()) {
    const auto dot = path.rfind('.');
    node.key = dot == std::string::npos ? path : path.substr(dot + 1);
    auto parent = ConfigNode::map();
    parent.origin = parent.key_origin = origin;
    parent.items.push_back(std::move(node));
    node = std::move(parent);
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
  return node;
}

}  // namespace

std::vector<fs::path> config_folders() {
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("HERD_CONFIGS")) {
    std::stringstream parts(named);
    for (std::string part; std::getline(parts, part, ':');)
      if (!part.empty()) folders.emplace_back(part);
  }
  folders.emplace_back(HERD_CONFIGS_DIR);
  return folders;
}

ConfigNode gather_config(const ConfigSources& sources, const std::map<std::string, std::string>& aliases) {
  auto tree = ConfigNode::map();
  if (!sources.file.empty()) tree = Includer(sources.folders).read(sources.file, "");
  for (const auto& text : sources.overrides) merge_config(tree, override_tree(text, aliases));
  return tree;
}

}  // namespace herd
