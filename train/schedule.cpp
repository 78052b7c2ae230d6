#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace herd {

Schedule::Schedule(const TrainOptions& options, std::int64_t total_steps)
    : kind_(options.schedule), peak_(options.learning_rate), total_(total_steps) {
  const auto steps = options.warmup < 1 ? std::ceil(options.warmup * static_cast<double>(total_steps)) : options.warmup;
  warmup_ = static_cast<std::int64_t>(steps);
}

double Schedule::learning_rate(std::int64_t step) const {
  if (step < warmup_) return peak_ * static_cast<double>(step + 1) / static_cast<double>(warmup_);
  const auto to_go = std::max<std::int64_t>(total_ - step, 0), falling = std::max<std::int64_t>(total_ - warmup_, 1);
  const auto left = static_cast<double>(to_go) / static_cast<double>(falling);
  switch (kind_) {
    case ScheduleKind::kConstant: return peak_;
    case ScheduleKind::kLinear: return peak_ * left;
    case ScheduleKind::kCosine: return peak_ * 0.5 * (1 - std::cos(std::numbers::pi * left));
  }
  return peak_;
}

}  // namespace herd
