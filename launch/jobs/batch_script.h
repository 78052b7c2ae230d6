#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/jobs/site.h"

namespace herd {

/// What a job asks for and runs.
struct BatchJob {
  std::string name;                      ///< of the run
  std::filesystem::path run_folder;      ///< absolute; of an array, what stands before an element's index
  std::filesystem::path working_folder;  ///< absolute: the recipe's paths count from it
  std::string herd;                      ///< the program, where the site does not name it
  std::int64_t nodes = 1, ranks_per_node = 1, gpus_per_node = 0;
  std::int64_t cpus_per_rank = 0;        ///< 0: as SLURM has it
  std::string time, partition, account;  ///< empty: the site's
  std::string array;                     ///< empty: one job
  std::string after;                     ///< the job that must end well before; empty: none

  std::int64_t ranks() const { return nodes * ranks_per_node; }
};

/// What runs behind a run, on one node.
struct Stage {
  std::string name;                  ///< of the script, apart from the run's
  std::vector<std::string> command;  ///< herd's arguments: `merge --model …`
  bool on_ranks = false;             ///< on the ranks of a node, else alone
};

/// The script that trains, saves when told to and queues itself again. @param site the name under which it is known.
/// @throws ConfigError for what no script can hold.
std::string train_script(const BatchJob& job, const SiteOptions& options, const std::string& site);

/// The script of a stage; what it waits for, sbatch is told when it is queued.
std::string stage_script(const BatchJob& job, const Stage& stage, const SiteOptions& options, const std::string& site);

}  // namespace herd
