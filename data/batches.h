#pragma once
#include <cstdint>
#include <vector>

#include "data/collate.h"
#include "data/examples.h"
#include "data/sampler.h"
#include "data/step_source.h"

namespace herd {

/// Examples as the micro-batches of steps, any of which can be asked for.
class Batches final : public StepSource {
 public:
  /// @param pad_token fills rows on the right; it belongs to no segment and is never learnt.
  Batches(Examples examples, const SamplerOptions& options, TokenId pad_token);

  const Sampler& sampler() const { return sampler_; }
  std::int64_t steps_in_epoch(std::int64_t epoch) const { return sampler_.steps_in_epoch(epoch); }
  /// The step's rows and the tokens of its global batch, known to every rank alike.
  StepRows rows(std::int64_t step) const { return sampler_.rows(step); }
  std::vector<Batch> micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) const;

  bool has(std::int64_t) override { return true; }
  StepSize size(std::int64_t step) override;
  std::vector<Batch> micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) override;
  std::optional<std::int64_t> epoch_ended_at(std::int64_t steps) override;
  std::optional<std::int64_t> steps_in(std::int64_t epochs) override { return sampler_.first_step(epochs); }

 private:
  Examples examples_;
  Sampler sampler_;
  TokenId pad_token_;
};

}  // namespace herd
