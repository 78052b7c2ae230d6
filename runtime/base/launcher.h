#pragma once
#include <string>

namespace herd {

/// Who started this process, as its environment tells.
struct Launcher {
  std::string name;            ///< "mpirun", "srun", "PMI" (another launcher), or "" for none
  int ranks = 1;               ///< processes of the job; 0 where only MPI itself can tell
  bool connects_ranks = false; ///< MPI finds the other processes through it
};

/// OpenMPI's mpirun (OMPI_COMM_WORLD_SIZE) before SLURM's srun (a step of its own: SLURM_STEP_ID, with PMIx or PMI under --mpi=…),
/// since mpirun inside a SLURM job shows both. A bare process of a batch script has no launcher.
Launcher launcher();

}  // namespace herd
