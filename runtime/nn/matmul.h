#pragma once
#include "runtime/base/tensor.h"

namespace herd {

/// x [..., in] · wᵀ, w [out, in] → [..., out]. Where w is frozen the backward computes the gradient of x alone and saves only w.
Tensor matmul_transposed(const Tensor& x, const Tensor& w);

/// Lets products of a few rows take the kernel of few_rows.h on this thread, for as long as it lives. Its bits are not those of the product that training
/// takes, and recomputed activations must be the first ones: so it is for answering alone.
class FewRowsScope {
 public:
  FewRowsScope();
  ~FewRowsScope();
  FewRowsScope(const FewRowsScope&) = delete;
  FewRowsScope& operator=(const FewRowsScope&) = delete;
};

/// Its backward for a weight that is not trained: grad [..., o] and w [o, i] → [..., i].
Tensor frozen_input_gradient(const Tensor& grad, const Tensor& w);

}  // namespace herd
