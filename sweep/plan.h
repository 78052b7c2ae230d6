#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "sweep/space.h"

namespace herd::sweep {

/// One run of a sweep.
struct Point {
  std::string id;           ///< fingerprint of its resolved config, without what changes nothing of its result
  std::size_t setting = 0;  ///< of Plan::settings
  std::int64_t repeat = 0;  ///< which of its seeds
};

/// A recipe's tree, checked as a run checks it. @return all keys with their values and places. @throws ConfigError. Called from several threads.
using Resolve = std::function<ConfigNode(const ConfigNode& tree)>;

/// All points of a sweep, each of them resolved once, so that nothing is refused after the first has run.
class Plan {
 public:
  /// @throws ConfigError with line and column of the sweep's file for what is wrong with the space, and for the first point that the recipe's schema refuses.
  Plan(const SweepFile& sweep, Resolve resolve);

  const std::vector<Setting>& settings() const { return settings_; }
  const std::vector<Point>& points() const { return points_; }
  const std::vector<Axis>& axes() const { return axes_; }
  /// The keys that differ between settings, in the file's order.
  std::vector<std::string> keys() const;
  /// How many settings were left out as another one's equals.
  std::size_t same() const { return same_; }
  /// Its resolved config; it runs in `folder`/run.
  ConfigNode config(const Point& point, const std::filesystem::path& folder) const;
  /// `learning_rate=0.001, r=8`: its own values, keys without their sections where these are clear.
  std::string title(const Point& point) const;

 private:
  ConfigNode tree(const Point& point) const;
  ConfigNode resolved(const Point& point) const;

  SweepFile sweep_;
  Resolve resolve_;
  std::vector<Axis> axes_;
  ConfigNode base_;  // the recipe under `set`
  std::vector<std::int64_t> seeds_;
  std::vector<Setting> settings_;
  std::vector<Point> points_;
  std::size_t same_ = 0;
};

/// The fingerprint of a resolved config: 16 hex characters. Left out is what changes no result: `run`, where caches lie, how many threads and checkpoints, deadlines,
/// where it resumes and pauses.
std::string point_id(ConfigNode resolved);

/// A key without its section, where no other of `keys` is called so.
std::string short_key(const std::string& key, const std::vector<std::string>& keys);

/// A value for a table: numbers with 4 digits.
std::string short_value(const ConfigNode& node);

}  // namespace herd::sweep
