#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/config_node.h"
#include "sweep/sweep_options.h"

namespace herd::sweep {

/// What a point says of its own: keys of the recipe (`key`, with dots) and their values, each with its place in the sweep's file.
using Setting = std::vector<ConfigNode>;

/// Numbers from `low` to `high`, both among them.
struct Range {
  double low = 0, high = 1;
  bool log = false;        ///< uniform in the logarithm
  bool whole = false;
  std::int64_t count = 0;  ///< of a grid; 0: none is given

  /// The number at `part` of the way, 0 to below 1: each whole number has an equal share of it (by the logarithm, its share of that).
  double at(double part) const;
  /// `count` numbers at equal distances, the ends among them.
  std::vector<double> grid() const;
};

/// A value that another parameter must have in a point.
struct Condition {
  std::string key;
  std::vector<ConfigNode> values;  ///< one of these
};

/// One direction of the space: a parameter, or several that are taken together.
struct Axis {
  std::vector<std::string> keys;
  std::vector<Origin> key_origins;
  std::vector<std::vector<ConfigNode>> choices;  ///< each with a value for every key
  std::optional<Range> range;                    ///< in place of choices, of one key
  Origin origin;                                 ///< where its values are said
  std::vector<Condition> when;                   ///< all of these

  /// Whether it belongs to a point that has these values so far.
  bool active(const Setting& so_far) const;
  /// The value at `part` of the way through the choices or the range, from 0 to below 1, with its keys.
  Setting at(double part) const;
  /// All values, in order. @throws ConfigError for a range without a count.
  std::vector<Setting> all() const;
};

/// The parameters and pairs of a sweep, in the file's order. @throws ConfigError with line and column: a form that is none, no values, keys given
/// twice, a condition on what is no earlier parameter.
std::vector<Axis> read_space(const SweepOptions& options);

/// `set`, laid out as keys and values. @throws ConfigError where it is no mapping.
Setting read_set(const SweepOptions& options);

/// Whether two values are one: numbers by their value (1e-4 and 0.0001), all else as it is written.
bool same_value(const ConfigNode& a, const ConfigNode& b);

/// The number that a scalar is, if it is one.
std::optional<double> number_of(const ConfigNode& node);

}  // namespace herd::sweep
