#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace herd {

using at::Tensor;

/// The format in which sums over elements are taken, and in which what is trained is kept: fp32, or fp64 where they are so already.
inline at::ScalarType wide_type(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }
inline at::ScalarType wide_type(const Tensor& x) { return wide_type(x.scalar_type()); }

/// Host memory for a device's values: page-locked beside a GPU, which copies several times faster from it.
inline Tensor empty_on_host(const Tensor& like, at::ScalarType dtype) {
  return at::empty(like.sizes(), at::TensorOptions(at::kCPU).dtype(dtype).pinned_memory(like.is_cuda()));
}

}  // namespace herd
