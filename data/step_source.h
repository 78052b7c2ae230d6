#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/nn/batch.h"

namespace herd {

/// What a step's global batch holds, known to every rank alike.
struct StepSize {
  std::int64_t rows = 0, tokens = 0, supervised_tokens = 0;
};

/// The micro-batches of a run's steps, asked for in order. What a step holds does not depend on ranks, micro-batches or where the run began.
class StepSource {
 public:
  virtual ~StepSource() = default;

  /// Whether there is such a step. @throws what reading data throws.
  virtual bool has(std::int64_t step) = 0;
  virtual StepSize size(std::int64_t step) = 0;
  /// The rows of the step that are `rank`'s, `micro_batch_size` at a time and padded to the longest among them. Every rank gets as many
  /// micro-batches: the last ones may be without rows. row_ids count from 0 over the step's rows, on all ranks together.
  virtual std::vector<Batch> micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) = 0;
  /// The epoch (from 0) that ends with this many steps done; none where none does.
  virtual std::optional<std::int64_t> epoch_ended_at(std::int64_t steps) = 0;
  /// How many steps so many epochs take; none where only reading all data would tell.
  virtual std::optional<std::int64_t> steps_in(std::int64_t epochs) = 0;
  /// Where the next step's rows begin, for a checkpoint after this many steps; empty where the number of steps says it.
  virtual std::string place(std::int64_t /*steps*/) { return {}; }
};

}  // namespace herd
