#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "parallel/comm/communicator.h"
#include "runtime/base/registry.h"

namespace herd {

/// A way for the processes of a job to talk.
struct Backend {
  std::string summary;  ///< for herd config --explain
  std::string device;   ///< what model.device must be: where its buffers lie
  /// The communicator of all ranks; called once a process.
  std::unique_ptr<Communicator> (*make)(CommOptions options);
};

/// The values of parallel.backend, besides auto. (`threads`, parallel/comm/threads.h, runs its ranks itself: it is for tests.)
const Table<Backend>& backends();

/// The communicator of this process's job. auto: mpi where a launcher that connects ranks has started this process (launcher.h), if
/// only a single one, else self.
/// @throws ConfigError for an unknown name, and where the launcher started more processes than the backend sees: each would believe
/// itself alone, and write over the others' files. @throws CommError where the backend cannot start.
std::unique_ptr<Communicator> make_communicator(std::string_view backend, CommOptions options = {});

}  // namespace herd
