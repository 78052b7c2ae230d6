#pragma once
#include <optional>

#include "runtime/nn/linear.h"

namespace herd {

/// An input mask of the update: `kept` bool of x's shape, and the factor of what stays.
struct InputMask {
  Tensor kept;
  double scale = 1;
};

/// base(x) + s · (mask(x)·Aᵀ)·Bᵀ as one step of autograd, for a frozen base: forward and backward add the update into the base's result in
/// place, and only x (shared with whatever else keeps it), x·Aᵀ [n, r] and the mask are saved. Gradients of x, A and B.
/// @param x [..., in]. @param a [r, in], b [out, r]: cast to x's format for the products, their gradients cast back.
/// @param base outlives the backward.
Tensor low_rank_linear(WeightStorage& base, const Tensor& x, const Tensor& a, const Tensor& b, double s,
                       const std::optional<InputMask>& mask);

}  // namespace herd
