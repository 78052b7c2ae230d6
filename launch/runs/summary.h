#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launch/jobs/slurm.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// How it stands with a run.
enum class RunState {
  kRunning,   ///< its lock is held
  kWaiting,   ///< its job is in SLURM's queue
  kFinished,  ///< its result is there
  kStopped,   ///< it ended in order before it was done: pre-empted, or told to stop
  kFailed,    ///< a rank had an error, or ended without a word
  kNotBegun,  ///< queued once, never begun, and no longer in the queue
  kDamaged,   ///< a file of its folder cannot be read
};
/// `running`, `finished`, …
const char* name(RunState state);

/// A run in a line.
struct RunSummary {
  RunFolder folder{""};
  RunState state = RunState::kDamaged;
  std::string detail;  ///< why it failed, what it waits for, who holds it; one line
  std::optional<std::int64_t> step;
  std::optional<double> loss, held_out_loss, tokens_per_s;  ///< the last ones
  std::string started;                                      ///< of its last start, UTC; "" before the first
  std::string job;                                          ///< SLURM's number; ""

  std::string name() const { return folder.root().filename().string(); }
};

using QueuedJobs = std::optional<std::map<std::string, QueuedJob>>;

/// What squeue says, where any of the runs was queued; it is not asked for others. Nothing where it has no answer.
QueuedJobs queue_for(const std::vector<RunFolder>& runs);

/// Never throws for what lies in the folder: that is damaged, with the error as its detail. @param queued what squeue said; nothing where
/// there is none.
RunSummary summarise(const RunFolder& folder, const QueuedJobs& queued);

/// Whether a folder is a run's: it holds a config, a lock or a job.
bool is_run_folder(const std::filesystem::path& folder);

/// The runs right inside a folder, by their last start, then by name. @throws IoError where it cannot be read.
std::vector<RunSummary> summaries_in(const std::filesystem::path& folder);

/// What a command line calls a run: its folder, or its name in `runs`. @throws ConfigError where that is none.
RunFolder find_run(const std::string& name, const std::filesystem::path& runs = "runs");

}  // namespace herd
