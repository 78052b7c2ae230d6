#pragma once
#include <exception>
#include <functional>
#include <string>

#include "parallel/comm/communicator.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// How a rank ends that fails: the first cause is told once, by rank 0 where all ranks have it, else by the rank that has it, which ends the others.
/// @param folder where causes are put down; nullptr as long as there is none. @return the exit code, where it returns.
int fail_on_rank(const std::exception& error, const RunFolder* folder, Communicator& communicator);

/// What the watchdog says before it ends this process (Communicator::watch). A launcher that ends all ranks is no failure of the first that goes.
std::function<void(const std::string&)> last_words(const RunFolder& folder, int rank, const Signals& signals);

}  // namespace herd
