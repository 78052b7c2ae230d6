#pragma once
#include "runtime/nn/gptq_matrix.h"

namespace herd {

/// 2/n · Σ x·xᵀ over all n inputs of a layer that were shown to it: what its output's squared error depends on.
class Hessian {
 public:
  /// x [..., in], any dtype; summed in fp32.
  void add(const Tensor& x);
  bool empty() const { return count_ == 0; }
  /// [in, in] fp32.
  Tensor value() const { return sum_ * (2.0 / static_cast<double>(count_)); }

 private:
  Tensor sum_;
  std::int64_t count_ = 0;
};

/// GPTQ (Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", algorithm 1): column by column to
/// the nearest code, and what that does wrong is made good by the columns that are still to come, by way of the inverse Hessian's Cholesky factor.
/// A group's grid is found when its first column comes, from what the columns have become by then.
/// @param w [out, in], fp32 or fp64: the format of the sums. @param hessian [in, in]; a column whose input was always zero becomes zero.
/// @throws DataError where it cannot be inverted, even damped.
GptqMatrix gptq(const Tensor& w_oi, const Tensor& hessian, const GptqOptions& options, const std::string& who);

/// How much of a layer's output the change of its matrix is: sqrt(tr(E·H·Eᵀ) / tr(W·H·Wᵀ)) with E = W − found.
double output_error(const Tensor& w_oi, const Tensor& found_oi, const Tensor& hessian);

}  // namespace herd
