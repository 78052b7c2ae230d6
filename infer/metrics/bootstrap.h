#pragma once
#include <cstdint>
#include <span>

namespace herd {

struct BootstrapOptions {
  std::int64_t resamples = 2000;  ///< the ends then vary by some 6 % of a standard error from seed to seed
  double level = 0.95;
  std::uint64_t seed = 0;

  /// @throws ConfigError
  void validate() const;
};

struct Interval {
  double mean = 0, low = 0, high = 0;
};

/// The mean over records, and between which means of as many records drawn from them with replacement the middle `level` lie: the percentile
/// method (Efron 1979, "Bootstrap methods: another look at the jackknife"; Efron & Tibshirani 1993, section 13.3). The ends are quantiles
/// with linear interpolation, as NumPy's. A function of scores and options alone. @throws DataError without any score.
Interval bootstrap_mean(std::span<const double> scores, const BootstrapOptions& options = {});

/// Of the mean of a − b of two runs over the same records, in one order. Records are drawn with both scores (paired): what is hard for both
/// widens nothing. Where 0 is outside, the runs differ at that level. @throws DataError where they are not as many.
Interval bootstrap_difference(std::span<const double> a, std::span<const double> b, const BootstrapOptions& options = {});

/// Of Σ a / Σ b, both numbers of a record drawn together; `mean` is the ratio. For what texts of different lengths have, such as bits a byte.
/// @throws DataError where they are not as many, or b is not positive.
Interval bootstrap_ratio(std::span<const double> a, std::span<const double> b, const BootstrapOptions& options = {});

}  // namespace herd
