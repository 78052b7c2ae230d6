#pragma once
#include <functional>

#include "launch/run_config.h"
#include "parallel/comm/communicator.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"
#include "train/trainer.h"

namespace herd {

/// Trains what a recipe says, from the claimed run folder to the written result. All ranks call it together.
/// @param signal this rank's pending signal
/// @throws Error; where its complaint says `everywhere`, on all ranks alike.
TrainOutcome train_run(const ResolvedRun& run, const RunFolder& folder, Communicator& communicator, std::function<Signal()> signal);

}  // namespace herd
