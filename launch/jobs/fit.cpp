#include "launch/jobs/fit.h"

#include <fmt/format.h>

#include "launch/jobs/slurm_words.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

void check_gpus(const BatchJob& job, const ModelOptions& model) {
  const auto asked = fmt::format("--gpus-per-node {}", job.gpus_per_node);
  if (model.device != "cuda" && job.gpus_per_node > 0)
    throw ConfigError({.who = asked,
                       .found = "model.device=" + model.device,
                       .expected = "a recipe that uses them",
                       .remedy = "model.device=cuda, or leave --gpus-per-node out"});
  if (model.device != "cuda") return;
  if (job.gpus_per_node == 0)
    throw ConfigError({.who = "model.device=cuda", .found = "no --gpus-per-node", .expected = "a GPU for each rank", .remedy = ""});
  if (job.ranks_per_node > job.gpus_per_node)
    throw ConfigError(
        {.who = fmt::format("--ranks-per-node {}", job.ranks_per_node), .found = asked, .expected = "a GPU for each rank", .remedy = ""});
}

void check_ranks(const BatchJob& job, const ParallelOptions& parallel) {
  const auto ranks = job.ranks();
  const auto who = fmt::format("{} of {}", plural(job.nodes, "node"), plural(job.ranks_per_node, "rank"));
  if (parallel.strategy == "hsdp" && parallel.shard_degree > 0 && ranks % parallel.shard_degree != 0)
    throw ConfigError({.who = who,
                       .found = plural(ranks, "rank"),
                       .expected = fmt::format("a multiple of parallel.shard_degree={}", parallel.shard_degree),
                       .remedy = "other --nodes or --ranks-per-node, or another shard_degree (0: the ranks of a node)"});
  if (parallel.backend == "self" && ranks > 1)
    throw ConfigError(
        {.who = who, .found = "parallel.backend=self, which is one rank alone", .expected = "parallel.backend=auto", .remedy = ""});
}

void check_time(const BatchJob& job, const SiteOptions& site) {
  const auto& time = job.time.empty() ? site.time : job.time;
  if (time.empty()) return;
  const auto seconds = slurm_time_s(time);
  if (!seconds) throw ConfigError({.who = "--time " + time, .found = "no time", .expected = kSlurmTimes, .remedy = ""});
  if (*seconds <= static_cast<double>(site.signal_s))
    throw ConfigError({.who = "--time " + time,
                       .found = fmt::format("{:.0f} s", *seconds),
                       .expected = fmt::format("more than the site's signal_s, {} s, which is kept for the last save", site.signal_s),
                       .remedy = ""});
}

}  // namespace

void check_fit(const BatchJob& job, const SiteOptions& site, const RunConfig& config) {
  check_gpus(job, config.model);
  check_ranks(job, config.parallel);
  check_time(job, site);
}

}  // namespace herd
