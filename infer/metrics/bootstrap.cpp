#include "infer/metrics/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

/// A stream of random numbers for each resample: the same whatever thread draws it. The ratio of the sums of what was drawn.
double resampled(std::span<const double> a, std::span<const double> b, std::uint64_t seed, std::int64_t resample) {
  Random random(seed ^ hash_name("bootstrap"), static_cast<std::uint64_t>(resample));
  double above = 0, below = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto drawn = random.below(a.size());
    above += a[drawn];
    below += b[drawn];
  }
  return above / below;
}

double sum_of(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double quantile(const std::vector<double>& sorted, double part) {
  const auto place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto rest = place - static_cast<double>(below);
  if (rest == 0 || sorted[below] == sorted[below + 1]) return sorted[below];  // infinity less infinity is no number
  return sorted[below] + rest * (sorted[below + 1] - sorted[below]);
}

}  // namespace

void BootstrapOptions::validate() const {
  if (resamples < 1)
    throw ConfigError(
        {.who = "bootstrap", .found = fmt::format("{} resamples", resamples), .expected = "1 or more", .remedy = "2000 are usual"});
  if (!(level > 0 && level < 1))
    throw ConfigError(
        {.who = "bootstrap", .found = fmt::format("level {}", level), .expected = "between 0 and 1", .remedy = "0.95 is usual"});
}

Interval bootstrap_mean(std::span<const double> scores, const BootstrapOptions& options) {
  return bootstrap_ratio(scores, std::vector<double>(scores.size(), 1), options);
}

Interval bootstrap_ratio(std::span<const double> a, std::span<const double> b, const BootstrapOptions& options) {
  options.validate();
  if (a.empty()) throw DataError({.who = "bootstrap", .found = "no score", .expected = "one or more", .remedy = ""});
  if (a.size() != b.size() || std::ranges::any_of(b, [](double value) { return !(value > 0); }))
    throw DataError({.who = "bootstrap of a ratio", .found = fmt::format("{} and {} numbers", a.size(), b.size()), .expected = "two of each record, the second above 0", .remedy = ""});
  std::vector<double> ratios(static_cast<std::size_t>(options.resamples));
  parallel_for(options.resamples, 0, [&](std::int64_t i) { ratios[static_cast<std::size_t>(i)] = resampled(a, b, options.seed, i); });
  std::sort(ratios.begin(), ratios.end());
  return {sum_of(a) / sum_of(b), quantile(ratios, (1 - options.level) / 2), quantile(ratios, (1 + options.level) / 2)};
}

Interval bootstrap_difference(std::span<const double> a, std::span<const double> b, const BootstrapOptions& options) {
  if (a.size() != b.size())
    throw DataError({.who = "bootstrap of a difference",
                     .found = fmt::format("{} and {} scores", a.size(), b.size()),
                     .expected = "one of each run for every record",
                     .remedy = "compare runs over the same records"});
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  return bootstrap_mean(differences, options);
}

}  // namespace herd
