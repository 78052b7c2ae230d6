#pragma once

namespace herd {

/// `herd checkpoint list|verify|show RUN_OR_FOLDER`: a run's checkpoints; all their checksums; what one holds. They only read.
/// @return kExitFailure where `verify` finds a bad one.
int checkpoint_command(int argc, char** argv);

}  // namespace herd
