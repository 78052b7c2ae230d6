#pragma once
#include <functional>

#include "data/batches.h"
#include "parallel/strategy.h"
#include "runtime/base/signals.h"
#include "runtime/nn/causal_lm.h"
#include "train/evaluate.h"
#include "train/journal.h"
#include "train/state.h"
#include "train/train_options.h"

namespace herd {

class AdamW;
class StepRule;

/// What the loop works with. Everything outlives it.
struct Training {
  CausalLm& model;
  Communicator& communicator;
  Strategy& strategy;
  StepSource& batches;
  const Batches* held_out = nullptr;  ///< none: never evaluated
  TrainOptions options;
  StepRule* rule = nullptr;  ///< of the PEFT method; none: it has none
  Every save_every = Every::epochs(1);
  bool save_best = true;
  Journal& journal;
  /// Saves the state, on all ranks together. `best`: its held-out loss is the lowest so far. It may go on in the background.
  std::function<void(const TrainState& state, bool best)> save = [](const TrainState&, bool) {};
  /// Whether this rank knows that a save in the background has failed; gathered over ranks at every step's end.
  std::function<bool()> save_failed = [] { return false; };
  /// Waits for the save in the background, on all ranks together: at the end, and where one has failed; then it throws the cause.
  std::function<void()> finish_save = [] {};
  /// This rank's pending signal; gathered over ranks at every step's end.
  std::function<Signal()> signal = [] { return Signal::none; };
};

enum class StopReason {
  kDone,      ///< all epochs, steps or tokens
  kPatience,  ///< the held-out loss no longer falls
  kSignal,    ///< saved, and asked to end
};

struct TrainOutcome {
  StopReason reason = StopReason::kDone;
  Signal signal = Signal::none;
  TrainState state;
};

/// Steps of a whole run: the first of its limits on epochs, steps and tokens. @throws ConfigError where only reading all data would tell.
std::int64_t planned_steps(const TrainOptions& options, StepSource& batches);

/// Trains from `state` on; all ranks call it together. Every rank gets the same outcome.
/// @throws Error naming rank, step and parameter where a loss or gradient is not finite and options.non_finite says stop.
TrainOutcome train(Training& training, AdamW& optimizer, TrainState state);

}  // namespace herd
