#pragma once

namespace herd {

/// `herd train RECIPE [key=value…]`, on every rank of an mpirun or srun, or alone.
int train_command(int argc, char** argv);

}  // namespace herd
