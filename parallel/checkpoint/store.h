#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/checkpoint/folder.h"
#include "parallel/checkpoint/plan.h"
#include "parallel/checkpoint/saving.h"
#include "parallel/comm/communicator.h"

namespace herd {

/// What a rank brings to a checkpoint. All but `slices` is taken from rank 0.
struct CheckpointContent {
  std::vector<NamedSlice> slices;  ///< what this rank holds; together the ranks hold every element. Replicas are written once.
  std::string state = "{}";        ///< the trainer's, a JSON object: step, tokens, loss scale, …
  Fingerprints fingerprints;
  std::string config;
  std::optional<double> held_out_loss;
};

struct CheckpointStoreOptions {
  std::int64_t keep = 3;     ///< newest checkpoints kept, besides the best
  bool async = false;        ///< save returns when a copy of this rank's slices is made; the rest goes on beside the training
  std::int64_t slice_bytes = kSliceBytes;  ///< most that is stored as one slice
  double deadline_s = 1800;  ///< how long the last rank may write after rank 0 has written its own part
  /// For tests: called after each step of a save with its name, in the thread that does it.
  std::function<void(std::string_view step)> on_step;
};

/// A checkpoint whose manifest is whole and whose files have their sizes.
struct Checkpoint {
  std::filesystem::path folder;
  Manifest manifest;
};

/// The checkpoints of one run, for the process that goes on with it. All calls but `failed` are collective: every rank calls them, in the
/// same order, and an error is thrown by all ranks alike. An object that goes without `finish` gives up the save that is under way.
class CheckpointStore {
 public:
  /// Takes the folder over: from now on an older process of this run commits nothing, and what it left unfinished is removed.
  /// @param folder RUN/checkpoints, on a file system that all ranks see. @throws IoError, also where one does not see it.
  CheckpointStore(std::filesystem::path folder, Communicator& communicator, CheckpointStoreOptions options = {});

  std::int64_t incarnation() const { return incarnation_; }

  /// Commits a checkpoint: each rank writes, reads again and syncs its file in a temporary folder; rank 0 adds the manifest, renames, moves
  /// `latest` (and `best`), prunes. Needs room for one more than it keeps.
  /// With `async` it waits for the save before, if that is still under way, and throws what became of it.
  /// @return its folder. @throws IoError (full disk, a newer incarnation): nothing has changed then, the last good one still stands.
  std::filesystem::path save(std::int64_t step, const CheckpointContent& content, bool best = false);
  /// Waits for the save that is under way, if any. @throws IoError where it fails, as `save`.
  void finish();
  /// Whether this rank knows that the save under way has failed; no collective call. All ranks are to call `finish` then.
  bool failed() const { return saving_ && saving_->failed(); }

  /// The one to resume from: "auto" gives the latest, or none in a new run; else a path as resolve_checkpoint takes it.
  /// @throws IoError naming what is missing or broken, and older good ones: a broken latest is never passed over in silence.
  std::optional<Checkpoint> find(const std::string& resume);

  /// To be called before read(). @param run what the run is now. @throws ConfigError where it is of another model, tokenizer, …
  void check(const Checkpoint& checkpoint, const Fingerprints& run);

  /// Fills the slices, however many ranks saved. Every tensor of the checkpoint must be wanted by some rank.
  /// @throws IoError naming file and tensor (a changed byte, a missing file); ShapeError where names, shapes or dtypes differ, by name.
  void read(const Checkpoint& checkpoint, std::span<const NamedSlice> into);

 private:
  const SavePlan& plan(std::vector<Piece> own);
  std::vector<RankFileSlice> mine(const SavePlan& plan, std::span<const NamedSlice> slices);
  void done(std::string_view step) const;
  [[noreturn]] void rethrow_with_older(const IoError& error, const std::filesystem::path& broken);

  CheckpointFolder folder_;
  Communicator& communicator_;
  CheckpointStoreOptions options_;
  std::int64_t incarnation_ = 0;

  // Of the last save: a run saves the same pieces each time.
  std::vector<Piece> pieces_;
  std::string print_;                // of pieces_
  std::vector<std::string> prints_;  // of all ranks' pieces; plan_ is for them
  SavePlan plan_;
  std::vector<Tensor> snapshot_;     // kept: memory that was used before is copied into several times faster
  std::unique_ptr<Saving> saving_;
};

/// Every byte of a checkpoint against its checksums. @throws IoError naming the first that is wrong.
void verify_checkpoint(const std::filesystem::path& checkpoint);

}  // namespace herd
