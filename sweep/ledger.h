#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "sweep/sweep_options.h"

namespace herd::sweep {

/// How far a point is.
enum class State {
  kWaiting,    ///< for its first run
  kRunning,    ///< or its submitter died, where nobody holds its lock
  kPreempted,  ///< saved by a signal: goes on from its checkpoint
  kStopped,    ///< at a rung that better points have passed
  kFinished,
  kDiverged,   ///< its loss or gradient was no number
  kFailed,
};
const char* name(State state);

/// What is known of a point: its state.json.
struct Standing {
  State state = State::kWaiting;
  std::int64_t starts = 0;          ///< of its run
  double seconds = 0;               ///< of all its runs
  std::optional<int> exit_code;     ///< of the last one
  std::string error;                ///< why it failed, its first lines
  std::optional<double> value;      ///< of the metric
  std::int64_t step = 0;            ///< of that value
  std::vector<double> rungs;        ///< the metric at each rung that is behind it (asha)
};

/// A sweep's folder:
///
///     sweep.yaml                as it was read at the last start
///     points/ID/config.yaml     a point's resolved recipe
///     points/ID/state.json      how far it is, always whole
///     points/ID/log.txt         what its runs said
///     points/ID/run/            its run's folder
///     points/ID/lock, lock      who is at work at a point, at the sweep
///     results.csv, results.md, report.html, pictures/, best/config.yaml
class Ledger {
 public:
  explicit Ledger(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path folder(const std::string& id) const { return root_ / "points" / id; }
  std::filesystem::path run(const std::string& id) const { return folder(id) / "run"; }
  std::filesystem::path config(const std::string& id) const { return folder(id) / "config.yaml"; }
  std::filesystem::path log(const std::string& id) const { return folder(id) / "log.txt"; }

  /// Waiting where the point has no file. @throws IoError for a file that is none of ours.
  Standing read(const std::string& id) const;
  void write(const std::string& id, const Standing& standing) const;

 private:
  std::filesystem::path root_;
};

/// Holds a folder of the ledger (the sweep's, or a point's) for this process, as a run holds its own: runtime/base/lone_lock.h.
class Hold {
 public:
  /// @param what names it: `the sweep`, `the point ID`. @throws IoError naming who is at work there.
  Hold(const std::filesystem::path& folder, const std::string& what);

 private:
  File file_;
};

/// What a run's folder says of a run that has ended.
struct Verdict {
  State state = State::kFailed;
  std::string error;
  std::optional<double> value;
  std::int64_t step = 0;
};

/// The value of the metric that counts, with its step; none where metrics.jsonl does not name it. A number that is not finite is none.
std::optional<std::pair<std::int64_t, double>> value_of(const std::filesystem::path& run, const SweepOptions& options);

/// Judges by exit code, errors/ and metrics.jsonl. @param asked whether this process told it to stop; @param log where its words are.
Verdict judge(const std::filesystem::path& run, const std::filesystem::path& log, int exit_code, bool asked, const SweepOptions& options);

}  // namespace herd::sweep
