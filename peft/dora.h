#pragma once
#include "runtime/nn/linear.h"

namespace herd {

/// ‖W + s·B·A‖ of each row of a frozen W, without W + s·B·A: ‖w‖² + 2s·(W·Aᵀ)·b + s²·‖b·A‖². W is read once for its own rows' lengths, and
/// from then on only multiplied, whatever its storage. Outside autograd: DoRA takes the length as a constant (Liu et al. 2024,
/// section 4.3).
class RowLengths {
 public:
  /// @param a [r, in], b [out, r] @param compute the format of the product with W. @return [out], in a's dtype.
  Tensor operator()(WeightStorage& w, const Tensor& a, const Tensor& b, double s, at::ScalarType compute);

  /// The same from a matrix [out, in] at hand.
  static Tensor of(const Tensor& w, const Tensor& a, const Tensor& b, double s);

 private:
  Tensor squares_;  // [out], of W alone
};

}  // namespace herd
