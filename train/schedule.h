#pragma once
#include <cstdint>

#include "train/train_options.h"

namespace herd {

/// The learning rate of each step.
class Schedule {
 public:
  /// @param total_steps of the whole run, by which linear and cosine fall to 0.
  Schedule(const TrainOptions& options, std::int64_t total_steps);

  /// @param step counted from 0. Warm-up rises by equal amounts and meets the peak at its last step, so no step is lost at rate 0;
  /// after it linear falls by (total − step) / (total − warm-up), cosine by (1 + cos π·progress) / 2 (Loshchilov & Hutter 2017, eq. 5).
  double learning_rate(std::int64_t step) const;

 private:
  ScheduleKind kind_;
  double peak_;
  std::int64_t warmup_, total_;
};

}  // namespace herd
