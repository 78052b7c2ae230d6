#pragma once
#include "runtime/nn/causal_lm.h"

namespace herd {

/// The batch with its tensors on `device`; where they are there already, the same ones.
Batch on_device(Batch batch, at::Device device);

}  // namespace herd
