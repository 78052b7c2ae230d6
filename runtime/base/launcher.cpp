#include "runtime/base/launcher.h"

#include <cstdlib>

namespace herd {
namespace {

bool has(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}
int number(const char* variable) { return has(variable) ? std::atoi(std::getenv(variable)) : 0; }

}  // namespace

Launcher launcher() {
  if (has("OMPI_COMM_WORLD_SIZE")) return {.name = "mpirun", .ranks = number("OMPI_COMM_WORLD_SIZE"), .connects_ranks = true};
  const bool pmi = has("PMIX_RANK") || has("PMI_RANK");
  if (has("SLURM_STEP_ID") && has("SLURM_STEP_NUM_TASKS"))
    return {.name = "srun", .ranks = number("SLURM_STEP_NUM_TASKS"), .connects_ranks = pmi};
  if (pmi) return {.name = "PMI", .ranks = number("PMI_SIZE"), .connects_ranks = true};
  return {};
}

}  // namespace herd
