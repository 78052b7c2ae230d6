#pragma once
#include "parallel/strategy.h"

namespace herd {

/// Data parallel: each rank holds the whole model; gradients lie in one flat fp32 buffer in the order in which the backward finishes
/// them, and travel in stretches of at least `bucket_bytes` while it goes on (Li et al. 2020, section 3.2).
std::unique_ptr<Strategy> make_ddp(const StrategyContext& context);

}  // namespace herd
