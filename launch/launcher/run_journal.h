#pragma once
#include <string>

#include "launch/launcher/hosts.h"
#include "launch/launcher/restart_policy.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// How far the run in a folder has come; what cannot be read counts as nothing.
RunProgress progress_of(const RunFolder& folder);

/// One try of a run, as a line of RUN/launch.jsonl.
struct TryRecord {
  int number = 1;
  std::string began;  ///< utc_now()
  Hosts placed;
  TryEnd end;
  Verdict verdict;
  std::string cause;  ///< what a rank put down, or why mpirun had to be ended; empty where nobody knows
};
/// Appends it; a warning where the folder takes no line.
void write_try(const RunFolder& folder, const TryRecord& record);

/// Returns when no run holds the folder's lock any more, after `patience_s`, or when a signal came: ranks that were cut off from the others end by their own
/// deadlines, and one of them may hold it.
void wait_for_lock(const RunFolder& folder, double patience_s, const Signals& signals);

}  // namespace herd
