#include "sweep/asha.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace herd::sweep {
namespace {

double badness(double value, Goal goal) {
  if (!std::isfinite(value)) return std::numeric_limits<double>::infinity();
  return goal == Goal::kMin ? value : -value;
}

// The points whose value at `rung` is among its best 1 / factor, the best first; none whose value is no number.
std::vector<std::size_t> best_of(const std::vector<Climber>& climbers, std::size_t rung, std::int64_t factor, Goal goal) {
  std::vector<std::size_t> there;
  for (std::size_t i = 0; i < climbers.size(); ++i)
    if (climbers[i].rungs.size() > rung) there.push_back(i);
  const auto value = [&](std::size_t i) { return badness(climbers[i].rungs[rung], goal); };
  std::stable_sort(there.begin(), there.end(), [&](std::size_t a, std::size_t b) { return value(a) < value(b); });
  there.resize(there.size() / static_cast<std::size_t>(factor));
  std::erase_if(there, [&](std::size_t i) { return !std::isfinite(value(i)); });
  return there;
}

}  // namespace

std::optional<Climb> next_climb(const std::vector<Climber>& climbers, std::size_t rungs, std::int64_t factor, Goal goal) {
  for (std::size_t i = 0; i < climbers.size(); ++i)
    if (climbers[i].begun && !climbers[i].busy) return Climb{i, climbers[i].rungs.size()};
  for (auto rung = rungs - 1; rung-- > 0;)
    for (const auto i : best_of(climbers, rung, factor, goal))
      if (!climbers[i].busy && climbers[i].rungs.size() == rung + 1) return Climb{i, rung + 1};
  for (std::size_t i = 0; i < climbers.size(); ++i)
    if (!climbers[i].busy && climbers[i].rungs.empty()) return Climb{i, 0};
  return std::nullopt;
}

}  // namespace herd::sweep
