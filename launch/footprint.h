#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

#include "launch/run_config.h"
#include "parallel/comm/dry.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// The ranks of a job, and which of them is asked about. Rank 0 holds most where parts are uneven.
struct Job {
  int ranks = 1, nodes = 1, rank = 0;
};

/// What one rank's tensors hold on the device that it computes on, bytes; and what it holds in host memory beside a GPU's.
struct MemoryPlan {
  std::int64_t parameters = 0, gradients = 0, optimizer = 0;  ///< between steps
  /// On top of them when a step's memory is at its highest.
  std::int64_t gathered = 0;     ///< parameters of others, for the blocks that run
  std::int64_t travelling = 0;   ///< gradients that are being summed over ranks
  std::int64_t activations = 0;  ///< what the forward keeps for the backward, and workspace
  std::int64_t result = 0;       ///< gathered to write what was trained: the highest moment of a save, on top of the states
  std::int64_t snapshot = 0;     ///< beside all of it, from the first save on: the copy that is written while the training goes on
  std::int64_t host_states = 0, host_snapshot = 0;  ///< beside a GPU: what parallel.offload keeps there, and that copy

  std::int64_t states() const { return parameters + gradients + optimizer; }
  std::int64_t step_peak() const { return states() + gathered + travelling + activations; }
  std::int64_t save_peak() const { return states() + result; }
  /// Of the whole run.
  std::int64_t peak() const { return std::max(step_peak(), save_peak()) + snapshot; }
};

struct Footprint {
  MemoryPlan memory;
  Traffic sent;                              ///< by this rank in one step
  std::int64_t micro_batches = 0;            ///< of one step, on each rank
  std::int64_t parameters = 0, trained = 0;  ///< of the model, numbers
  std::int64_t checkpoint_bytes = 0;         ///< of all ranks' files: the values
};

/// The model that a recipe's `model` section describes, on the meta device, with what `peft` trains of it: neither weights nor adapter are
/// read or made. @param tokens the tokenizer's vocabulary, for a model.config that names no vocab_size.
std::unique_ptr<CausalLm> model_shape(const RunConfig& config, std::int64_t tokens);

/// What one rank of a run holds and sends: the run's own strategy, optimizer and passes over a model on the meta device (docs/plan.md). It
/// takes no memory for parameters, and computes nothing.
/// @param row_tokens of the longest row. @param tokens see model_shape. @param enough where the states alone are more bytes, no step is
/// tried.
/// @throws ConfigError where the ranks do not divide as the recipe wants, and what model_shape throws.
Footprint footprint(const RunConfig& config, const Job& job, std::int64_t row_tokens, std::int64_t tokens,
                    std::int64_t enough = std::numeric_limits<std::int64_t>::max());

}  // namespace herd
