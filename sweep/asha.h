#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "sweep/sweep_options.h"

namespace herd::sweep {

/// A point on its way up the rungs.
struct Climber {
  std::vector<double> rungs;  ///< the metric at each rung behind it; what is not finite is the worst
  bool begun = false;         ///< a part of the next rung is run, and nobody is at work
  bool busy = false;          ///< somebody is at work, or it is out for other reasons
};

/// A point, and the rung that it is to reach.
struct Climb {
  std::size_t point = 0, rung = 0;
  bool operator==(const Climb&) const = default;
};

/// ASHA's `get_job` (Li et al. 2020, algorithm 2) over points that are drawn beforehand: what was begun goes on first; then the best `1 / factor` of a rung, the
/// highest rung first, of which one is promoted that was not yet; then a new point at the lowest rung. Equal values go by the points' order.
/// @return nothing where nobody may climb now.
std::optional<Climb> next_climb(const std::vector<Climber>& climbers, std::size_t rungs, std::int64_t factor, Goal goal);

}  // namespace herd::sweep
