#pragma once

namespace herd {

/// `herd launch [-n N] [--hosts a:8,b:8] … -- train RECIPE …`: starts ranks by mpirun and sees a run to its end.
int launch_command(int argc, char** argv);

}  // namespace herd
