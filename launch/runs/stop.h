#pragma once
#include <optional>

#include "launch/runs/summary.h"

namespace herd {

/// Tells a run to save and end, and not to be queued again: by SIGUSR1 to its job's script, or to its process where that is on this host. A
/// job that waits is taken out of the queue.
/// @return what was done, for people. @throws IoError where there is nothing to stop, or the run is out of reach from here.
std::string stop_run(const RunFolder& folder);

/// Until the run has let go of its folder. @param timeout_s nothing: as long as it takes. @throws IoError after that.
void wait_for_end(const RunFolder& folder, std::optional<double> timeout_s);

}  // namespace herd
