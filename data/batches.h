#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/examples.h"
#include "data/sampler.h"
#include "runtime/nn/batch.h"

namespace herd {

/// Examples as the micro-batches of steps.
class Batches {
 public:
  /// @param pad_token fills rows on the right; it belongs to no segment and is never learnt.
  Batches(Examples examples, const SamplerOptions& options, TokenId pad_token);

  const Sampler& sampler() const { return sampler_; }
  std::int64_t steps_in_epoch(std::int64_t epoch) const { return sampler_.steps_in_epoch(epoch); }
  /// The step's rows and the tokens of its global batch, known to every rank alike.
  StepRows rows(std::int64_t step) const { return sampler_.rows(step); }

  /// The rows of the step that are `rank`'s, `micro_batch_size` at a time and padded to the longest among them. Every rank gets as many
  /// micro-batches: the last ones may be without rows. row_ids count from 0 over the step's rows, on all ranks together.
  std::vector<Batch> micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) const;

 private:
  Batch collate(const StepRows& step, RowRange rows) const;

  Examples examples_;
  Sampler sampler_;
  TokenId pad_token_;
};

}  // namespace herd
