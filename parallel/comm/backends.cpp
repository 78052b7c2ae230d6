#include "parallel/comm/backends.h"

#include <fmt/format.h>

#include "parallel/comm/mpi.h"
#include "parallel/comm/mpi_version.h"
#include "parallel/comm/nccl.h"
#include "runtime/base/launcher.h"

namespace herd {

const Table<Backend>& backends() {
  static const Table<Backend> table{
      "backend",
      {
          {"mpi", {.summary = "MPI on CPUs, any number of ranks", .device = "cpu", .make = make_mpi_communicator}},
          {"nccl", {.summary = "NCCL between GPUs, with model.device=cuda alone", .device = "cuda", .make = make_nccl_communicator}},
          {"self", {.summary = "one rank, no MPI", .device = "cpu", .make = make_self_communicator}},
      }};
  return table;
}

namespace {

// A world that came up as singletons: the launcher and this MPI library do not know each other.
std::string remedy_for(const std::string& launcher) {
  if (launcher == "srun") return "start with srun --mpi=pmix, with mpirun, or with herd launch";
  return "start with the mpirun that belongs to " + mpi_library_version().substr(0, mpi_library_version().find(',')) + ", which herd runs with, or with herd launch, which finds it";
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(std::string_view backend, CommOptions options) {
  const auto started_by = launcher();
  const std::string name(backend != "auto" ? backend : started_by.connects_ranks ? "mpi" : "self");
  const auto& entry = backends().at(name);
  auto alone = [&] {
    return ConfigError({.who = "parallel.backend " + name,
                        .found = fmt::format("{} processes started by {}, each of which would train alone", started_by.ranks, started_by.name),
                        .expected = "ranks that know of each other",
                        .remedy = name == "self" && started_by.connects_ranks ? "parallel.backend=auto" : remedy_for(started_by.name)});
  };
  if (name == "self" && started_by.ranks > 1) throw alone();
  auto communicator = entry.make(options);
  if (communicator->size() == 1 && started_by.ranks > 1) throw alone();
  return communicator;
}

}  // namespace herd
