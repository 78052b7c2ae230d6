#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace herd {

using at::Tensor;

/// The format in which sums over x's elements are taken: fp32, or fp64 where x is so already.
inline at::ScalarType wide_type(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace herd
