#pragma once
#include <functional>

#include "runtime/nn/batch.h"

namespace herd {

/// What the last part of the forward gives: the summed loss and, in training, its gradient.
struct LossResult {
  double sum = 0;           ///< −Σ log p over the supervised tokens, nats
  std::int64_t tokens = 0;  ///< how many
  Tensor grad_hidden;       ///< d(scale · sum)/d hidden, [b, t, d]; undefined where not asked for
};

/// Cross-entropy of the next token from the last hidden state, without ever holding all logits: only supervised positions
/// meet the head, `chunk_elements` logits at a time, and each chunk's backward runs before the next forward.
/// @param hidden_btd detached last hidden state.
/// @param labels_bt on the CPU where hidden_btd is on the meta device: they say how much there is to compute.
/// @param vocab width of the logits.
/// @param logits_of hidden [n, d] → logits [n, vocab] (final norm and head); its trainable parameters get their gradients here.
/// @param scale factor of the gradient (1 / tokens of the global batch, times the loss scale).
LossResult chunked_loss(const Tensor& hidden_btd, const Tensor& labels_bt, const std::function<Tensor(const Tensor&)>& logits_of,
                        std::int64_t vocab, double scale, bool with_gradient, std::int64_t chunk_elements = 1 << 23);

}  // namespace herd
