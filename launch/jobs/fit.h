#pragma once
#include "launch/jobs/batch_script.h"
#include "launch/run_config.h"

namespace herd {

/// Whether what a job asks for is what its recipe can use. @throws ConfigError: no ranks for the GPUs, GPUs for a recipe on CPUs or none
/// for one on GPUs, ranks that parallel.shard_degree does not divide, a time that leaves no room for a save.
void check_fit(const BatchJob& job, const SiteOptions& site, const RunConfig& config);

}  // namespace herd
