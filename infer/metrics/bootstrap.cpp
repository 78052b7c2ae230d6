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

double mean_of(std::span<const double> scores) {
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

/// A stream of random numbers for each resample: the same whatever thread draws it.
double resampled_mean(std::span<const double> scores, std::uint64_t seed, std::int64_t resample) {
  Random random(seed ^ hash_name("bootstrap"), static_cast<std::uint64_t>(resample));
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) sum += scores[random.below(scores.size())];
  return sum / static_cast<double>(scores.size());
}

double quantile(const std::vector<double>& sorted, double part) {
  const auto place = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
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
  options.validate();
  if (scores.empty()) throw DataError({.who = "bootstrap", .found = "no score", .expected = "one or more", .remedy = ""});
  std::vector<double> means(static_cast<std::size_t>(options.resamples));
  parallel_for(options.resamples, 0, [&](std::int64_t i) { means[static_cast<std::size_t>(i)] = resampled_mean(scores, options.seed, i); });
  std::sort(means.begin(), means.end());
  return {mean_of(scores), quantile(means, (1 - options.level) / 2), quantile(means, (1 + options.level) / 2)};
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
