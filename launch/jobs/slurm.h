#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace herd {

/// A job as squeue knows it.
struct QueuedJob {
  std::string state;   ///< PENDING, RUNNING, COMPLETING, …
  std::string reason;  ///< why it waits: Resources, BeginTime, Dependency; "None" where it does not
  bool waits() const {
    return state == "PENDING" || state == "CONFIGURING" || state == "REQUEUED" || state == "REQUEUE_HOLD" || state == "SUSPENDED";
  }
};

/// @throws ConfigError where this machine has no sbatch, with the ways that are left.
void require_slurm();

/// Queues a script. @param before the job that must end well before it begins, "" for none; where that cannot be any more, this one goes
/// too.
/// @return the job's number. @throws IoError with what sbatch said.
std::string submit_script(const std::filesystem::path& script, const std::string& before);

/// This user's jobs by number, elements of arrays one by one (`12_3`). Nothing where this machine has no squeue, or it fails, which is
/// told in the log.
std::optional<std::map<std::string, QueuedJob>> queued_jobs();

/// SIGUSR1 to a job's script, which hands it on. @throws IoError with what scancel said.
void ask_job_to_save(const std::string& job);
/// @throws IoError with what scancel said.
void cancel_job(const std::string& job);

}  // namespace herd
