#include "parallel/comm/mpi_version.h"

#include <mpi.h>

#include <array>

namespace herd {

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  std::string line(text.data());
  return line.substr(0, line.find('\n'));
}

}  // namespace herd
