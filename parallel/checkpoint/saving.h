#pragma once
#include <atomic>
#include <future>
#include <string_view>
#include <thread>

#include "parallel/checkpoint/folder.h"
#include "parallel/checkpoint/rank_file.h"

namespace herd {

/// What one rank does for one checkpoint.
struct SaveOrder {
  CheckpointFolder folder;
  Manifest manifest;                 ///< without the slices and files, which the ranks' parts bring
  std::vector<RankFileSlice> slices; ///< this rank's, in memory that nobody changes meanwhile
  int rank = 0;
  bool best = false;
  std::int64_t keep = 3;
  double deadline_s = 0;                               ///< rank 0's patience for the last rank's file
  std::function<void(std::string_view step)> on_step;  ///< see CheckpointStoreOptions

  std::filesystem::path temporary() const { return folder.temporary(manifest.step, manifest.incarnation); }
};

/// A checkpoint being written by a thread of its own, from the rank's slices to the commit. Ranks meet in the folder alone: each leaves a
/// done-file beside its own file, and rank 0 commits when it sees all of them.
class Saving {
 public:
  explicit Saving(SaveOrder order);
  ~Saving() { give_up(); }
  Saving(const Saving&) = delete;
  Saving& operator=(const Saving&) = delete;

  /// Never blocks, never throws.
  bool failed() const { return failed_; }
  /// Until this rank's file and done-file are on the disk. Once. @throws IoError: a full disk, …
  void wait_written() { written_result_.get(); }
  /// Until rank 0 has committed; on the others until their own file is written. Once. @throws IoError, also for a done-file that never came.
  void wait_committed() { committed_result_.get(); }
  /// Leaves off at the next slice or step, unless the commit has begun, and waits for that.
  void give_up();
  /// Gives up and removes what was written. For rank 0, when no other rank writes any more.
  void remove_temporary();

 private:
  void run();
  void write();
  void wait_for_parts() const;
  void commit();
  void done(std::string_view step) const;
  void need_wanted() const;

  SaveOrder order_;
  std::atomic<bool> failed_ = false, given_up_ = false;
  std::promise<void> written_, committed_;
  std::future<void> written_result_ = written_.get_future(), committed_result_ = committed_.get_future();
  std::thread thread_;
};

}  // namespace herd
