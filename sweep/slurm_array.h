#pragma once
#include <filesystem>
#include <string>

#include "sweep/plan.h"

namespace herd::sweep {

/// How a sweep is told to the batch system.
struct ArrayJob {
  std::filesystem::path program;      ///< herd itself
  std::string arguments;              ///< the sweep's file and overrides, quoted for a shell
  std::filesystem::path folder;       ///< of the sweep
  std::int64_t workers = 1;           ///< elements of the array
};

/// The sbatch script of the array: element i runs `herd sweep … --worker i/N`, saves on the signal before the end of its time, and is queued again.
std::string array_script(const ArrayJob& job, const SweepOptions& options);
/// The script of the job that follows it and makes the table of what is there.
std::string report_script(const ArrayJob& job);

/// Words of a command line for a shell, each in quotes where it needs them.
std::string shell_words(const std::vector<std::string>& words);

}  // namespace herd::sweep
