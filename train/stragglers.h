#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace herd {

/// Looks for a rank that makes the others wait: over a window of steps, by the time it works for a token (waiting for others left out),
/// so that a rank that is dealt more is not taken for a slow one.
class Stragglers {
 public:
  /// What one rank did in one step.
  struct Work {
    double seconds = 0;
    double tokens = 0;
  };
  struct Finding {
    int rank = 0;
    double times = 0;  ///< as long for a token as the median of the other ranks
    std::int64_t steps = 0;
  };

  /// @param steps of a window. @param times that make a rank a straggler. @param seconds of work in a window below which nothing is said.
  explicit Stragglers(std::int64_t steps = 20, double times = 1.5, double seconds = 0.5) : window_(steps), times_(times), least_seconds_(seconds) {}

  /// @param ranks what each rank did in this step. @return the slowest rank, where it is a straggler: at the first window that shows it, then
  /// after twice as many each time.
  std::optional<Finding> add(std::span<const Work> ranks);

 private:
  std::optional<Finding> judge() const;

  std::int64_t window_;
  double times_, least_seconds_;
  std::vector<Work> sums_;
  std::int64_t steps_ = 0;
  int told_rank_ = -1;
  std::int64_t windows_since_ = 0, windows_until_ = 0;
};

}  // namespace herd
