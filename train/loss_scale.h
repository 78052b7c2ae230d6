#pragma once
#include <cstdint>

#include "train/train_options.h"

namespace herd {

/// The factor by which an fp16 run's loss is scaled, so that small gradients do not vanish: halved after a step that overflowed,
/// doubled after `growth_interval` finite ones (Micikevicius et al. 2018, section 3.2). 1 for good where it is not `active`.
class LossScale {
 public:
  LossScale() = default;
  LossScale(bool active, const LossScaleOptions& options)
      : active_(active), factor_(active ? options.initial : 1), growth_(options.growth_interval) {}

  bool active() const { return active_; }
  double factor() const { return factor_; }
  std::int64_t finite_steps() const { return finite_steps_; }

  void step_was_finite() {
    if (!active_ || ++finite_steps_ < growth_) return;
    factor_ *= 2;
    finite_steps_ = 0;
  }
  /// @return false where the scale cannot fall any more: the fault is not the scale's.
  bool step_overflowed() {
    finite_steps_ = 0;
    if (!active_ || factor_ <= 1) return false;
    factor_ /= 2;
    return true;
  }
  void restore(double factor, std::int64_t finite_steps) {
    factor_ = factor;
    finite_steps_ = finite_steps;
  }

 private:
  bool active_ = false;
  double factor_ = 1;
  std::int64_t growth_ = 2000, finite_steps_ = 0;
};

}  // namespace herd
