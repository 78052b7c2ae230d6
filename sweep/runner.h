#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/base/signals.h"
#include "sweep/queue.h"

namespace herd::sweep {

/// How points become processes.
struct RunnerOptions {
  std::filesystem::path program;  ///< herd itself
  std::int64_t slots = 1;         ///< runs beside each other
  int cores = 1;                  ///< of the machine, shared out among the ranks of all slots where the recipe does not say model.threads
  std::string devices{};          ///< CUDA_VISIBLE_DEVICES as this process has it
  std::function<Signal()> signal = [] { return Signal::none; };
  std::function<void()> changed = [] {};  ///< a point has ended
};

/// The command of a task: `herd train CONFIG resume=auto …`, under the launcher where the ranks are several.
std::vector<std::string> command_of(const Task& task, const ConfigNode& config, const std::filesystem::path& file, const SweepOptions& options, const RunnerOptions& how);

/// The GPUs of a slot, for CUDA_VISIBLE_DEVICES: as many as ranks, of those `visible` (empty: of all, by number). @throws ConfigError where they do not suffice.
std::string devices_of(std::int64_t slot, std::int64_t ranks, const std::string& visible);

/// Runs what the queue holds, `slots` at a time, until nothing is left, a signal comes or the budget is used up. On a signal, and on an error of this process, each
/// run gets SIGUSR1, so that it saves and ends, and is waited for.
/// @return the signal that ended it.
Signal run_points(const Plan& plan, const Ledger& ledger, Queue& queue, const SweepOptions& options, const RunnerOptions& how);

}  // namespace herd::sweep
