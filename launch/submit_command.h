#pragma once

namespace herd {

/// `herd submit RECIPE [key=value…] --nodes N …`: queues a run in SLURM.
int submit_command(int argc, char** argv);

}  // namespace herd
