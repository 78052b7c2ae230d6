#pragma once
#include "runtime/base/config_value.h"

namespace herd {

/// A config's numbers by name, in the order in which they are written: `{q_proj: 4, v_proj: 8}`.
struct NumbersByName {
  std::vector<std::pair<std::string, double>> values;
  bool operator==(const NumbersByName&) const = default;
};

template <>
struct ValueName<NumbersByName> {
  static std::string get() { return "a mapping of names to numbers"; }
};
const ConfigNode* read_value(const ConfigNode& node, NumbersByName& value, const Field& field);
ConfigNode write_value(const NumbersByName& value);

}  // namespace herd
