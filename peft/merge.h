#pragma once
#include <vector>

#include "runtime/nn/causal_lm.h"

namespace herd {

/// Folds every slot into its weight and bias (in fp32, rounded once to their dtype) and takes it away; parameters get their base names back.
/// @return how many weights changed. @throws ConfigError naming a layer whose method has no matrix.
std::int64_t merge_adapter(CausalLm& model);

/// A deterministic batch of random tokens that adapter and merged model are compared on: 4 rows of up to 64 tokens.
Batch probe_batch(const CausalLm& model);

/// Logits of a probe batch, fp32, without gradients and without dropout.
Tensor probe_logits(CausalLm& model, const Batch& batch);

struct MergeDeviation {
  double greatest = 0;  ///< max |merged − adapter| over all logits
  double scale = 0;     ///< max |adapter's logit|, at least 1
  double relative() const { return greatest / scale; }
};
MergeDeviation deviation(const Tensor& adapter_logits, const Tensor& merged_logits);

/// The bound on the relative deviation of a sound merge. fp32: 1e-4, the parity tests' bound, sums are only taken in another order.
/// bf16 and fp16: each stored weight is off by up to u (2^-9, 2^-12) of itself, so each of the n linear layers adds an independent error of
/// about u of its result; they add up as a random walk, and the greatest of many logits is some four deviations out: 4·u·√n.
double merge_bound(CausalLm& model, at::ScalarType stored);

}  // namespace herd
