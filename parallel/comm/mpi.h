#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

class MpiEngine;

/// This process's part in an MPI job: MPI runs from here until this object and all communicators made of it are gone, on a thread of
/// its own. Once a process. The end waits for all ranks to come to theirs.
class MpiWorld {
 public:
  /// @throws CommError where MPI is in use already, or has been.
  MpiWorld();
  /// All ranks of the job, rank as in MPI_COMM_WORLD. Every rank makes the same communicators in the same order.
  std::unique_ptr<Communicator> communicator(CommOptions options = {});

 private:
  std::shared_ptr<MpiEngine> engine_;
};

}  // namespace herd
