#pragma once
#include "runtime/nn/batch.h"

namespace herd {

struct RandomKeys;

/// NEFTune (Jain et al. 2023, "Noisy Embeddings Improve Instruction Finetuning", algorithm 1): embeddings [b, t, d] with uniform noise in
/// ±alpha / √(L·d) at the tokens of each segment, L of them: a record's own, whatever its row is padded to or packed with. Padding gets none.
/// Element (t, j) of a row draws from Philox at ((t·d + j) / 4, row id) under a key of (seed, step): the same on any rank and in any micro-batch.
/// @throws ShapeError where the rows are not those of the random keys.
Tensor with_embedding_noise(const Tensor& x_btd, const Batch& batch, const RandomKeys& keys);

}  // namespace herd
