#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/config_node.h"

namespace herd {

/// Folders in which an included name is looked for: those of the environment's HERD_CONFIGS (split at ':'), then the installation's.
std::vector<std::filesystem::path> config_folders();

struct ConfigSources {
  std::filesystem::path file;          ///< the recipe; empty for the defaults alone
  std::vector<std::string> overrides;  ///< `key.path=value`, the value in YAML; the last one wins
  std::vector<std::filesystem::path> folders = config_folders();
};

/// The recipe over its includes (of which the later wins), under its overrides. `include: [models/llama]` takes `models/llama.yaml`
/// beside the including file, else from `folders`. `aliases` are short forms of keys that overrides may use.
/// Keys are not judged here: that is the schema's work.
/// @throws ConfigError for a missing recipe, broken YAML, an include that is not found or includes itself, an override without '='.
ConfigNode gather_config(const ConfigSources& sources, const std::map<std::string, std::string>& aliases = {});

}  // namespace herd
