#pragma once
#include "runtime/base/tensor.h"

namespace herd {

/// Runs the backward from `output` with the gradient `grad`; leaves' `.grad()` accumulate. Keeps autograd's slow headers out of callers.
void backward(const Tensor& output, const Tensor& grad);

}  // namespace herd
