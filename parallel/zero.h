#pragma once
#include "parallel/strategy.h"

namespace herd {

/// Every strategy is this one mechanism (Rajbhandari et al. 2020, section 5; Li et al. 2020, section 3.2; hybrid sharding as in Zhao et al.
/// 2023, section 3.2): flat rows of parameters and gradients (flat.h), cut over the ranks that share a copy of the states and summed over
/// the copies. Under ddp that is one rank and every rank is a copy. All ranks call it together. @throws ConfigError of make_mesh.
std::unique_ptr<Strategy> make_zero(const StrategyEntry& entry, const StrategyContext& context);

}  // namespace herd
