#pragma once
#include "data/batches.h"
#include "parallel/strategy.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// How well a model predicts the held-out records.
struct Evaluation {
  double loss = 0;  ///< nats a supervised token
  std::int64_t tokens = 0;
  double perplexity() const;
};

/// The held-out examples as one step that holds all rows in the order given.
SamplerOptions held_out_order(const SamplerOptions& training, std::size_t examples);

/// Deals the rows to the ranks; the result is the same on each. Dropout is off. All ranks call it together.
Evaluation evaluate(CausalLm& model, Strategy& strategy, Communicator& communicator, const Batches& held_out, std::int64_t micro_batch_size);

}  // namespace herd
