#pragma once

namespace herd {

/// `herd sweep SWEEP.yaml`: runs many points of one recipe, and says which is best (docs/sweep.md).
int sweep_command(int argc, char** argv);

}  // namespace herd
