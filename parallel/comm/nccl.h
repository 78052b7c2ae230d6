#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

/// Gives each rank of `host` (mpi or self) its GPU, and puts NCCL between them: in place of `host`, which goes on inside and is left as it
/// was where this fails. Opens the CUDA module.
/// @throws on all ranks together ConfigError where one has no GPU, driver, NCCL or module, or shares its GPU with another; CommError where
/// NCCL does not start within the deadline.
void use_gpus(std::unique_ptr<Communicator>& host);

/// The same over MPI where a launcher connects ranks, else for one rank alone.
std::unique_ptr<Communicator> make_nccl_communicator(CommOptions options = {});

}  // namespace herd
