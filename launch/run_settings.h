#pragma once
#include <map>
#include <string>

#include "runtime/base/config_node.h"

namespace herd {

/// Values by their paths, each on one line: `{"train.epochs": "2"}`.
using Settings = std::map<std::string, std::string>;
Settings settings_of(const ConfigNode& tree);

}  // namespace herd
