#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"

namespace herd {

/// RUN/checkpoints on the disk. Each change of it is one rename, so that a crash between any two leaves every committed checkpoint whole:
///
///     step-120/          a committed checkpoint: manifest.json and rank-0000.h5 …
///     latest, best       the name of one of them
///     incarnation        counts the processes that have written here
///     step-140.tmp-3/    being written by incarnation 3
///     step-100.gone/     being removed
///     step-120.old/      replaced by a new step-120 that is not there yet (file systems that cannot exchange two folders)
///
/// Readers need no lock. Writers: rank 0 alone, but for the files inside `temporary`.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path step(std::int64_t number) const { return root_ / ("step-" + std::to_string(number)); }
  std::filesystem::path temporary(std::int64_t number, std::int64_t incarnation) const;

  /// Steps that are committed, ascending; empty where there is no folder.
  std::vector<std::int64_t> steps() const;
  /// What `latest` points to; where a crash came before the first was moved, the highest step. @throws IoError where it names none.
  std::optional<std::int64_t> latest() const;
  std::optional<std::int64_t> best() const;
  void point_latest(std::int64_t number) const { point("latest", number); }
  void point_best(std::int64_t number) const { point("best", number); }

  std::int64_t incarnation() const;  ///< 0 before the first
  /// The next number, on the disk when this returns.
  std::int64_t new_incarnation() const;
  /// @throws IoError where a newer process has taken over.
  void need_incarnation(std::int64_t own) const;

  /// Finishes or undoes what crashed processes before `incarnation` left.
  void tidy(std::int64_t incarnation) const;
  /// Makes `temporary` the committed step, in place of one of that number.
  void publish(const std::filesystem::path& temporary, std::int64_t number) const;
  /// Removes all but the `keep` that were committed last, `best`, `latest`, and those whose manifest cannot be read.
  void prune(std::int64_t keep) const;

 private:
  void point(const std::string& name, std::int64_t number) const;
  std::optional<std::int64_t> pointed(const std::string& name) const;
  std::filesystem::path root_;
};

/// The checkpoint that a user means by a path: its own folder, or the latest of a run's folder or of its `checkpoints`.
/// @throws IoError where it is none of them.
std::filesystem::path resolve_checkpoint(const std::filesystem::path& path);
/// `checkpoints` of a run's folder, or the folder itself where it is one.
CheckpointFolder checkpoints_of(const std::filesystem::path& path);

}  // namespace herd
