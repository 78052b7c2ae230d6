#include "runtime/base/config_numbers.h"

#include "runtime/base/config.h"

namespace herd {

const ConfigNode* read_value(const ConfigNode& node, NumbersByName& value, const Field& field) {
  value.values.clear();
  if (!node.is_map()) return &node;
  for (const auto& item : node.items)
    if (const auto* misfit = read_value(item, value.values.emplace_back(item.key, 0).second, field)) return misfit;
  return nullptr;
}

ConfigNode write_value(const NumbersByName& value) {
  auto node = ConfigNode::map();
  for (const auto& [name, number] : value.values) {
    auto item = write_value(number);
    item.key = name;
    node.items.push_back(std::move(item));
  }
  return node;
}

}  // namespace herd
