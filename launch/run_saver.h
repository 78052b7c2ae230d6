#pragma once
#include "launch/run_parts.h"
#include "parallel/checkpoint/store.h"
#include "peft/step_rule.h"
#include "runtime/report/run_folder.h"
#include "train/journal.h"
#include "train/optimizer.h"
#include "train/state.h"

namespace herd {

/// What a run leaves: its checkpoints, the best model or adapter so far, and the last. Everything it works with outlives it. All calls are
/// collective.
class RunSaver {
 public:
  struct Work {
    const ResolvedRun& run;
    const RunFolder& folder;
    const RunParts& parts;
    Communicator& communicator;
    Strategy& strategy;
    AdamW& optimizer;
    StepRule* rule;  // of the PEFT method, if it has one
    CheckpointStore& store;
    Journal& journal;
  };
  /// @param resumed the checkpoint that the run goes on from, if any.
  RunSaver(Work work, const std::optional<Checkpoint>& resumed);

  /// Saves a checkpoint; where its held-out loss is the lowest so far and that is wanted, also writes the model or adapter.
  void save(const TrainState& state, bool is_best);
  /// Waits for the save that is under way, and throws what became of it.
  void finish();
  /// Writes the model or adapter of the last save's values.
  void write(const std::filesystem::path& place);

 private:
  template <class F>
  void blocked(bool complete, F f);

  Work w_;
  Fingerprints identity_;
  std::filesystem::path last_;  // checkpoint
  std::int64_t step_ = -1;      // of the last save
  double blocked_s_ = 0;        // training stood still for it
};

}  // namespace herd
