#pragma once
#include <cstdint>

#include "runtime/base/config.h"

namespace herd {

/// How the learning rate falls after the warm-up.
enum class ScheduleKind { kConstant, kLinear, kCosine };
/// What a loss or gradient that is not finite leads to: this step is left out, or the run ends.
enum class NonFinite { kSkip, kStop };
/// Which activations are computed again in the backward pass instead of being kept.
enum class Recompute { kNone, kFull, kSelective };

/// Dynamic loss scaling for fp16 (Micikevicius et al. 2018, section 3.2).
struct LossScaleOptions {
  double initial = 65536;
  std::int64_t growth_interval = 2000;  ///< finite steps in a row before the scale doubles
  bool operator==(const LossScaleOptions&) const = default;
};

/// The `train` section of a run: how long, how fast, in which batches.
struct TrainOptions {
  std::int64_t epochs = 3;
  std::int64_t max_steps = 0;          ///< optimizer steps; 0: no limit
  std::int64_t max_tokens = 0;         ///< tokens of the batches; 0: no limit
  std::int64_t stop_after = 0;         ///< steps after which this run pauses, on the way to the end that the others say; 0: never
  double learning_rate = 2e-4;         ///< the peak, after the warm-up
  ScheduleKind schedule = ScheduleKind::kCosine;
  double warmup = 0.03;                ///< below 1 a fraction of all steps, from 1 on their number
  double weight_decay = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double max_grad_norm = 1;            ///< 0: no clipping
  std::int64_t global_batch_size = 32; ///< rows of one optimizer step, over all ranks
  std::int64_t micro_batch_size = 4;   ///< at most so many rows in one forward and backward on one rank
  Every evaluate_every = Every::epochs(1);
  bool evaluate_first = false;         ///< before the first step too, to compare with; never counted as the best
  std::int64_t patience = 0;           ///< evaluations without a better held-out loss before the run ends; 0: never
  NonFinite non_finite = NonFinite::kStop;
  std::int64_t seed = 0;               ///< of dropout and noise
  double neftune_alpha = 0;            ///< noise in the embeddings (runtime/nn/embedding_noise.h); 0: none
  LossScaleOptions loss_scale;
  Recompute activation_checkpointing = Recompute::kNone;
  std::int64_t recompute_every = 2;     ///< selective: one block in so many is recomputed

  void validate() const;
  bool operator==(const TrainOptions&) const = default;
};

/// One block in so many is recomputed; 0: none.
std::int64_t recomputed_blocks(const TrainOptions& options);

void describe(Schema& s, LossScaleOptions& o);
void describe(Schema& s, TrainOptions& o);

}  // namespace herd
