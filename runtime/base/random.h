#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace herd {

/// Counter-based random numbers: a pure function of (key, counter), the same on any rank, thread or order of calls.
/// Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3).
std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high);

/// A stream of numbers that starts at (seed, stream): the next value is counter + 1.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  std::uint32_t bits();
  /// Uniform in [0, 1), 24 bits.
  float uniform();
  /// Uniform in [0, bound), without modulo bias.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box–Muller).
  float normal();

 private:
  std::uint64_t seed_, stream_, counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
};

/// A number for a name, to key streams by parameter or layer: FNV-1a, 64 bits.
std::uint64_t hash_name(std::string_view name);

/// The order of `count` items in `epoch`: a Fisher–Yates permutation keyed by (seed, epoch) alone.
std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed, std::uint64_t epoch);

}  // namespace herd
