#pragma once
#include <optional>
#include <string>
#include <vector>

#include "runtime/report/run_folder.h"

namespace herd {

/// What follows a run, once it has ended well.
struct StageRecord {
  std::string name, job, script;
};

/// `RUN/job.json`: as what a run was queued.
struct JobRecord {
  std::string job;        ///< SLURM's number; `12_3` for an array's element
  std::string script;     ///< the file that was queued
  std::string submitted;  ///< when, as utc_now() gives it
  std::vector<StageRecord> stages;
};

/// @throws IoError.
void write_job(const RunFolder& folder, const JobRecord& record);
/// Nothing where the run was not queued. @throws DataError where the file is no record, IoError.
std::optional<JobRecord> read_job(const RunFolder& folder);

}  // namespace herd
