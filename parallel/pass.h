#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "runtime/nn/causal_lm.h"
#include "runtime/nn/loss.h"

namespace herd {

/// A stretch of the model that finishes its backward as one: the head with the final norm, a block, or the embedding.
/// Units count in the order of the backward: 0 is the head, 1 the last block, blocks.size() the first one, then the embedding.
using Unit = std::size_t;

std::size_t unit_count(const CausalLm& model);
/// The parameters of a unit, in the model's order.
std::vector<Parameter*> unit_parameters(CausalLm& model, Unit unit);

/// One forward and backward of a micro-batch. Autograd ends at each block's edge: blocks run on detached inputs and backward is
/// called on them one by one, in reverse, which gives the bits of the whole graph's backward.
struct Pass {
  CausalLm& model;
  bool recompute = false;  ///< keep a block's input alone, and run its forward again before its backward (Chen et al. 2016)
  std::function<void(Unit)> unit_done;  ///< called once a unit, in order, when its parameters hold this micro-batch's gradients

  /// @param scale factor of the gradient: 1 / supervised tokens of the global batch, times the loss scale.
  /// @return summed loss and tokens. Gradients lie in `value.grad()` of the trainable parameters; leaves without one got none.
  LossResult forward_backward(const Batch& batch, double scale);
};

/// The summed loss of a batch, without gradients.
LossResult forward_loss(CausalLm& model, const Batch& batch);

}  // namespace herd
