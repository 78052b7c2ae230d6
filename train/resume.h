#pragma once
#include <vector>

#include "parallel/checkpoint/rank_file.h"
#include "peft/step_rule.h"
#include "train/optimizer.h"

namespace herd {

/// All that this rank's optimizer would be missed for, as a checkpoint stores it: `value` (the fp32 master, or the parameter itself where it is
/// fp32), `exp_avg` and `exp_avg_sq` of each trained parameter. The slices share the optimizer's memory: reading into them restores it,
/// and AdamW::restored() then rounds the masters into the parameters.
/// @param rule its states too; may be null.
std::vector<NamedSlice> checkpoint_slices(AdamW& optimizer, StepRule* rule = nullptr);

}  // namespace herd
