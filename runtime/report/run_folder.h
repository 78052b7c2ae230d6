#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "runtime/base/file.h"

namespace herd {

/// Where a run keeps what it makes:
///
///     config.yaml          the resolved config
///     log.txt              what was said
///     metrics.jsonl        numbers of each step (see MetricsWriter)
///     tensorboard/         the same for TensorBoard
///     loss.png             the loss curve
///     checkpoints/         step-N folders, and `latest`
///     best/                the best state on the held-out split
///     adapter/ or model/   the result, as Hugging Face folders
///     errors/rank-N.txt    the first error of each rank that failed
///     flight/rank-N.flight its last operations, readable after its death: herd flight
///     launch.jsonl         each try of herd launch
///     lock                 who is at work here
///     job.json, submitted.yaml, stop   of a run that herd submit queued: docs/slurm.md
class RunFolder {
 public:
  /// Names places and touches nothing: for the ranks beside rank 0 and for readers.
  explicit RunFolder(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path config() const { return root_ / "config.yaml"; }
  std::filesystem::path log() const { return root_ / "log.txt"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return root_ / "tensorboard"; }
  std::filesystem::path loss_picture() const { return root_ / "loss.png"; }
  std::filesystem::path checkpoints() const { return root_ / "checkpoints"; }
  std::filesystem::path best() const { return root_ / "best"; }
  std::filesystem::path adapter() const { return root_ / "adapter"; }
  std::filesystem::path model() const { return root_ / "model"; }
  std::filesystem::path errors() const { return root_ / "errors"; }
  std::filesystem::path flight() const { return root_ / "flight"; }
  std::filesystem::path launches() const { return root_ / "launch.jsonl"; }
  std::filesystem::path lock() const { return root_ / "lock"; }
  std::filesystem::path job() const { return root_ / "job.json"; }
  std::filesystem::path submitted() const { return root_ / "submitted.yaml"; }
  std::filesystem::path stop() const { return root_ / "stop"; }

 private:
  std::filesystem::path root_;
};

/// A folder for a new run, made inside `parent` by the date and the first free letter: `2026-11-21-a`, … `-z`, `-aa`, ….
/// Two runs that start at once get two folders. Rank 0 calls it and tells the others. @throws IoError
RunFolder new_run_folder(const std::filesystem::path& parent);
/// The name that it would take now.
std::string fresh_run_name(const std::filesystem::path& parent);

/// Who took a run folder last: `host n1, process 4711, job 12, since 2026-11-21T01:18:05Z`.
struct LockHolder {
  std::string host;
  int process = 0;
  std::string job;    ///< "" outside of a batch system
  std::string since;  ///< `2026-11-21T01:18:05Z`
  bool living = false;  ///< the lock is held; else the run has ended, however that was
  std::string text;
};

/// Nothing where no run has ever taken the folder. Looks without disturbing the run. @throws IoError where the lock cannot be read.
std::optional<LockHolder> lock_holder(const RunFolder& folder);

/// Holds a run folder for one living run: made by rank 0 before anything is written there, kept until the run ends.
/// The kernel lets go of the lock with the process, however that ends, so a dead run's folder is free at once. On NFS the lock
/// reaches other hosts where its lock service runs (the default since NFSv4); a file system without locks is named in a warning.
class RunLock {
 public:
  /// Makes the folder, takes the lock, writes owner and start into it, and clears causes and flight logs of an earlier run and what one that was killed
  /// on this host left half written (remove_leftovers in temporary.h). Other ranks write
  /// nothing into the folder before rank 0 has told them that this succeeded: until then it may be another run's.
  /// @throws IoError naming host, process, job and start of the run that works there already; or why the folder cannot be made.
  explicit RunLock(const RunFolder& folder);

 private:
  File file_;
};

/// Why a rank failed.
struct Cause {
  std::string time;  ///< as utc_now() gives it, by the clock of that rank's host
  int rank = 0;
  std::string host;
  std::string message;
};

/// Puts down why this rank fails, once the run holds its RunLock. A rank's first cause stays, later ones are consequences. Never throws, the rank is failing already:
/// @return whether the file is there.
bool write_cause(const RunFolder& folder, int rank, const std::string& message) noexcept;

/// What the cause of a run says that ended because a loss or gradient was none (train.non_finite): others tell it by these words from a failure.
inline constexpr const char* kNotFinite = "is not finite";

/// The earliest cause of any rank: what to show, once. Between hosts, only as right as their clocks. Unreadable files are passed over.
std::optional<Cause> first_cause(const RunFolder& folder);

}  // namespace herd
