#include "sweep/draws.h"

#include <functional>

#include "runtime/base/random.h"

namespace herd::sweep {
namespace {

constexpr std::size_t kMost = 100000;
constexpr std::uint64_t kStrata = std::uint64_t{1} << 40;  // a stream beyond those of points

class Grid {
 public:
  Grid(const std::vector<Axis>& axes, const Origin& place) : axes_(axes), place_(place) {
    for (const auto& axis : axes) values_.push_back(axis.all());
  }

  std::vector<Setting> all() {
    add(0, {});
    return std::move(settings_);
  }

 private:
  void add(std::size_t depth, const Setting& so_far) {
    if (depth == axes_.size()) {
      if (settings_.size() == kMost)
        throw ConfigError({.who = place_.place(), .found = "a grid of more than 100,000 points", .expected = "fewer", .remedy = "method: random or latin, with points: N, draws some of them"});
      settings_.push_back(so_far);
      return;
    }
    if (!axes_[depth].active(so_far)) return add(depth + 1, so_far);
    for (const auto& value : values_[depth]) {
      auto setting = so_far;
      setting.insert(setting.end(), value.begin(), value.end());
      add(depth + 1, setting);
    }
  }

  const std::vector<Axis>& axes_;
  const Origin& place_;
  std::vector<std::vector<Setting>> values_;
  std::vector<Setting> settings_;
};

// From 0 to below 1, all 53 bits of it.
double uniform(std::uint64_t seed, std::uint64_t stream) {
  Random random(seed, stream);
  const auto high = std::uint64_t{random.bits()}, low = std::uint64_t{random.bits()};
  return static_cast<double>((high << 21) ^ (low >> 11)) * 0x1p-53;
}

std::uint64_t key_of(const Axis& axis, std::uint64_t seed) { return seed ^ hash_name(axis.keys.front()); }

std::vector<Setting> drawn(const std::vector<Axis>& axes, std::int64_t count, const std::function<double(std::size_t axis, std::int64_t point)>& part) {
  std::vector<Setting> settings;
  for (std::int64_t point = 0; point < count; ++point) {
    auto& setting = settings.emplace_back();
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (!axes[i].active(setting)) continue;
      const auto value = axes[i].at(part(i, point));
      setting.insert(setting.end(), value.begin(), value.end());
    }
  }
  return settings;
}

}  // namespace

std::vector<Setting> grid(const std::vector<Axis>& axes, const Origin& place) { return Grid(axes, place).all(); }

std::vector<Setting> random_draws(const std::vector<Axis>& axes, std::int64_t count, std::uint64_t seed) {
  return drawn(axes, count, [&](std::size_t axis, std::int64_t point) { return uniform(key_of(axes[axis], seed), static_cast<std::uint64_t>(point)); });
}

std::vector<Setting> latin_draws(const std::vector<Axis>& axes, std::int64_t count, std::uint64_t seed) {
  std::vector<std::vector<std::int64_t>> strata;
  for (const auto& axis : axes) strata.push_back(permutation(count, key_of(axis, seed), kStrata));
  return drawn(axes, count, [&](std::size_t axis, std::int64_t point) {
    const auto stratum = static_cast<double>(strata[axis][static_cast<std::size_t>(point)]);
    return (stratum + uniform(key_of(axes[axis], seed), static_cast<std::uint64_t>(point))) / static_cast<double>(count);
  });
}

std::vector<Setting> draw(const std::vector<Axis>& axes, const SweepFile& sweep) {
  const auto& options = sweep.options;
  switch (options.method) {
    case Method::kGrid: return grid(axes, sweep.origin("parameters"));
    case Method::kLatin: return latin_draws(axes, options.points, options.seed);
    case Method::kRandom:
    case Method::kAsha: break;
  }
  return random_draws(axes, options.points, options.seed);
}

}  // namespace herd::sweep
