#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// What differs between clusters: a YAML file of cluster/sites, read as strictly as a recipe.
struct SiteOptions {
  enum class Launcher { kMpirun, kSrun };
  enum class GpuRequest { kGpusPerNode, kGres };

  Launcher launcher = Launcher::kMpirun;
  std::vector<std::string> mpirun_options, srun_options;
  std::vector<std::string> modules;    ///< `module load` of each, in order
  TextMap environment;                 ///< exported before anything else
  std::vector<std::string> setup;      ///< further lines of bash
  std::vector<std::string> container;  ///< words before herd: apptainer exec --nv herd.sif
  std::string herd;                    ///< the program on the nodes; empty: the file that submits
  GpuRequest gpu_request = GpuRequest::kGpusPerNode;
  std::string partition, account, time;  ///< where the command line says nothing; empty: as SLURM has it
  std::vector<std::string> directives;   ///< further options of sbatch: --exclusive
  std::int64_t signal_s = 300;           ///< how long before the end of the time a run begins to save

  const std::vector<std::string>& launcher_options() const { return launcher == Launcher::kMpirun ? mpirun_options : srun_options; }
  void validate() const;
  bool operator==(const SiteOptions&) const = default;
};

void describe(Schema& s, SiteOptions& o);

/// @param site a file, or a name for NAME.yaml of cluster/sites; empty: the environment's HERD_SITE, else `default`.
/// @throws ConfigError where there is none, or with the line of what does not fit.
SiteOptions load_site(const std::string& site);

/// The file that load_site reads. @throws ConfigError where there is none.
std::filesystem::path site_file(const std::string& site);

/// Where the templates of scripts lie.
std::filesystem::path cluster_folder();

}  // namespace herd
