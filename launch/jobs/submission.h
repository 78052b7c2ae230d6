#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "launch/jobs/batch_script.h"
#include "launch/run_config.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// What `herd submit` is told.
struct SubmitOptions {
  std::vector<std::string> arguments;  ///< the recipe and its overrides; of an array, `%a` in an override stands for the element's index
  BatchJob job;                        ///< what it asks SLURM for; the rest is filled in from the recipe
  std::vector<std::string> then;
  std::string site;
  bool dry_run = false;
};

/// A script and where it goes.
struct SubmittedScript {
  std::string name;  ///< train, or the stage's
  std::filesystem::path file;
  std::string text;
};

/// All that a submission writes and queues, worked out before anything is touched.
struct Submission {
  struct Element {
    std::string index;  ///< of an array, else ""
    RunFolder folder{""};
    bool fresh = true;  ///< the folder was not there
    ResolvedRun run;
  };
  std::vector<Element> elements;         ///< one, or an array's
  std::vector<SubmittedScript> scripts;  ///< the run's first, its stages behind it
};

/// Resolves the recipe and checks that SLURM's request and the recipe fit each other.
/// @throws ConfigError for what does not fit; IoError where the run's folder is in use, queued already, or holds what the recipe does not
/// go on with.
Submission prepare(const SubmitOptions& options);

/// Queues it and records the job in the run's folder. Where sbatch refuses one of the scripts nothing stays queued, written or recorded.
/// @return the jobs' numbers, in the order of the scripts. @throws IoError with what sbatch said.
std::vector<std::string> submit(const Submission& submission);

}  // namespace herd
