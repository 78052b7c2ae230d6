#pragma once
#include <optional>
#include <string>

#include "launch/run_config.h"
#include "parallel/comm/communicator.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// A run's folder; rank 0 holds its lock for as long as the object lives.
struct ClaimedFolder {
  RunFolder folder;
  std::optional<RunLock> lock;
};

/// Of this program and the library that it shares with its modules, by their bytes. @throws IoError.
std::string build_fingerprint();

/// @throws ConfigError on all ranks where one runs another build of herd, or read another recipe: its first setting that differs.
void check_same_start(const ResolvedRun& run, Communicator& communicator);
/// The second part of it alone, for a recipe that has been added to.
void check_same_recipe(const ResolvedRun& run, Communicator& communicator);

/// Rank 0 names the folder, makes and locks it, stores the resolved config, begins its log and tells there why a run before it ended; the
/// others learn where it is.
/// @throws on all ranks together: IoError where another run works there, or one has been there that this run does not go on with.
ClaimedFolder claim_run_folder(const ResolvedRun& run, Communicator& communicator);

/// Keeps this rank's flight log in the run's folder from now on; a warning where it cannot.
void record_flight(const RunFolder& folder, Communicator& communicator);

/// Sets the threads of this rank's tensor work. @param wanted model.threads; 0: the host's cores divided by its ranks.
/// @return how many. @throws ConfigError where this process is bound to fewer CPUs than are wanted.
int use_threads(std::int64_t wanted, Communicator& communicator);

}  // namespace herd
