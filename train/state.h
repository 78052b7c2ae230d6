#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "train/loss_scale.h"

namespace herd {

/// All of a run that is neither a tensor nor a setting; with them, what a continuation needs.
struct TrainState {
  std::int64_t step = 0;            ///< steps done, skipped ones included: also the data's place
  std::int64_t updates = 0;         ///< of them, those that changed the parameters
  std::int64_t tokens = 0;          ///< of all batches so far
  LossScale loss_scale;
  double best_loss = std::numeric_limits<double>::infinity();  ///< lowest held-out loss
  std::int64_t best_step = -1;
  std::int64_t evaluations_since_best = 0;
  std::string data;                 ///< StepSource::place; empty: `step` says it
  std::string rule;                 ///< of the PEFT method: StepRule::state; empty: it has none
  std::optional<double> held_out_loss;  ///< of an evaluation after this very step; not stored
};

/// As a checkpoint keeps it: exact, also the losses.
std::string to_json(const TrainState& state);
/// The way back. @param scale what this run's options begin with; where it is active it goes on from the stored factor.
/// @throws DataError for text that is not `to_json`'s.
TrainState train_state_from_json(std::string_view text, LossScale scale);
/// Of such a text, TrainState::rule alone.
std::string rule_in_json(std::string_view text);

}  // namespace herd
