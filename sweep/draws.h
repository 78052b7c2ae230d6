#pragma once
#include <cstdint>
#include <vector>

#include "sweep/space.h"

namespace herd::sweep {

/// All combinations, the last parameter changing fastest; a parameter whose condition is not met is left out, so that no point comes twice.
/// @throws ConfigError for a range without a count, and for more than 100,000 points.
std::vector<Setting> grid(const std::vector<Axis>& axes, const Origin& place);

/// `count` independent draws: each a pure function of (seed, key, its number), so that more points, or another parameter, leave the others as they are.
std::vector<Setting> random_draws(const std::vector<Axis>& axes, std::int64_t count, std::uint64_t seed);

/// A Latin hypercube (McKay, Beckman & Conover 1979, section 2.3): each parameter's range is cut into `count` strata of equal probability, and each
/// stratum is drawn from once, in an order of the parameter's own.
std::vector<Setting> latin_draws(const std::vector<Axis>& axes, std::int64_t count, std::uint64_t seed);

/// By the sweep's method; asha draws as random does.
std::vector<Setting> draw(const std::vector<Axis>& axes, const SweepFile& sweep);

}  // namespace herd::sweep
