#pragma once
#include "runtime/nn/causal_lm.h"

namespace herd {

/// Gives every parameter its values on `device`, and ties again. Before anything holds a parameter's tensor.
void move_to(CausalLm& model, at::Device device);

/// The batch with its tensors on `device`; where they are there already, the same ones.
Batch on_device(Batch batch, at::Device device);

}  // namespace herd
