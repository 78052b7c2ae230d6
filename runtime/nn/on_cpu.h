#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>

#include "runtime/base/tensor.h"
#include "runtime/nn/kernels.h"

// How the layers call the loops of kernels.h. On the meta device they allocate what they allocate on the CPU, and compute nothing.
namespace herd {

/// Whether the loops know tensors like this one; other devices and dtypes take the way of tensor operations.
inline bool has_kernel(const Tensor& x) {
  return (x.device().is_cpu() || x.is_meta()) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

/// Calls f(std::type_identity<S>) with the storage type of x; not where x has no memory.
template <class F>
void with_storage(const Tensor& x, F f) {
  if (x.is_meta()) return;
  if (x.scalar_type() == at::kFloat) f(std::type_identity<float>());
  else f(std::type_identity<kernel::Bf16>());
}

template <class S>
S* data_of(const Tensor& x) {
  return static_cast<S*>(x.mutable_data_ptr());
}

/// Runs f(begin, end) over rows of `width` elements, in parts worth a thread's while.
template <class F>
void parallel_rows(std::int64_t rows, std::int64_t width, F f) {
  constexpr std::int64_t kElements = 16384;
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kElements / std::max<std::int64_t>(1, width)), f);
}

}  // namespace herd
