#pragma once
#include <string>

namespace herd {

/// What the MPI library of this process says of itself, in a line: `Open MPI v4.1.4, package: …`. MPI need not have been started.
std::string mpi_library_version();

}  // namespace herd
