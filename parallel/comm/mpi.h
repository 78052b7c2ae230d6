#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

/// All ranks of an MPI job; once a process. MPI runs from here until this communicator and all its splits are gone, on a thread of its
/// own; their end waits for all ranks to come to theirs. @throws CommError where MPI is in use already, or has been.
std::unique_ptr<Communicator> make_mpi_communicator(CommOptions options = {});

}  // namespace herd
