#include "launch/run_settings.h"

namespace herd {
namespace {

void add(const ConfigNode& node, const std::string& path, Settings& settings) {
  if (!node.is_map()) settings[path] = to_flow(node);
  for (const auto& entry : node.items)
    if (node.is_map()) add(entry, path.empty() ? entry.key : path + "." + entry.key, settings);
}

}  // namespace

Settings settings_of(const ConfigNode& tree) {
  Settings settings;
  add(tree, "", settings);
  return settings;
}

}  // namespace herd
