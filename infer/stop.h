#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Watches a growing text for stop strings, which may lie across its pieces, and lets through only what surely stands before one.
class StopMatcher {
 public:
  /// @throws ConfigError for an empty stop string.
  explicit StopMatcher(std::vector<std::string> stops);

  /// What can be shown now: up to the stop string that is complete first (of several that end at once, the longest), else up to a
  /// possible beginning of one. Nothing after a stop.
  std::string push(std::string_view piece);
  /// The text has ended: what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;  // shorter than the longest stop string
  bool stopped_ = false;
};

}  // namespace herd
