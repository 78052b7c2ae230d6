#pragma once
#include "runtime/base/tensor.h"

namespace herd {

/// x [..., in] · wᵀ, w [out, in] → [..., out]. Where w is frozen the backward computes the gradient of x alone and saves only w.
Tensor matmul_transposed(const Tensor& x, const Tensor& w);

/// Its backward for a weight that is not trained: grad [..., o] and w [o, i] → [..., i].
Tensor frozen_input_gradient(const Tensor& grad, const Tensor& w);

}  // namespace herd
