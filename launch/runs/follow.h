#pragma once
#include <cstddef>

#include "launch/runs/summary.h"

namespace herd {

/// Prints the last `lines` of a run's log, and with `follow` what comes until the run has ended. One that waits in SLURM's queue is waited
/// for.
/// @throws IoError where there is no log and none to be waited for.
void tail_run(const RunFolder& folder, std::size_t lines, bool follow);

}  // namespace herd
