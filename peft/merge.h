#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/nn/causal_lm.h"

namespace herd {

/// What merge_adapter did to the matrices of a model.
struct MergedMatrices {
  std::int64_t updated = 0;      ///< took an update in
  std::int64_t dequantised = 0;  ///< were kept in few bits, and are dense now
  /// What rounding to the stored format cost where it cost most of an update: ‖rounded − exact‖ (Frobenius) over ‖exact‖, and over the update's own.
  struct Rounding {
    std::string layer;
    double of_matrix = 0, of_update = 0;
  } rounding;
};

/// Folds every slot into its weight and bias (in fp32) and takes it away; what is kept in few bits becomes dense, whether it has a slot or not.
/// Parameters get their base names back. @param stored the format that the matrices are rounded to, once; none: their own.
/// @throws ConfigError naming a layer whose method has no matrix.
MergedMatrices merge_adapter(CausalLm& model, std::optional<at::ScalarType> stored = {});

/// Before minutes go into loading a base. @throws ConfigError where the method of an adapter's folder has no weights that could stand for it.
void check_merges(const std::filesystem::path& adapter, const std::string& method);

/// A deterministic batch of random tokens that adapter and merged model are compared on: 4 rows of up to 64 tokens.
Batch probe_batch(const CausalLm& model);

/// Logits of a probe batch, fp32, without gradients and without dropout.
Tensor probe_logits(CausalLm& model, const Batch& batch);

/// How far the logits [b, t, vocab] of a merged model lie from those of base and adapter.
struct MergeDeviation {
  double greatest = 0, mean = 0;  ///< of |merged − adapter| over all logits
  double scale = 0;               ///< max |adapter's logit|, at least 1
  double divergence = 0;          ///< Kullback-Leibler, of the merged model's next token from the adapter's: nats, a mean over tokens
  double same_choice = 0;         ///< share of tokens after which both find the same one likeliest
  double relative() const { return greatest / scale; }
};
MergeDeviation deviation(const Tensor& adapter_logits, const Tensor& merged_logits);

/// The bound on the relative deviation of a sound merge; asked before it. fp32: 1e-4, the parity tests' bound, sums are only taken in another order.
/// bf16 and fp16: each stored weight is off by up to u (2^-9, 2^-12) of itself, so each of the n linear layers adds an independent error of
/// about u of its result; they add up as a random walk, and the greatest of many logits is some four deviations out: 4·u·√n.
/// Storages that round inputs (int8) add those errors to the walk: a dense weight takes its inputs as they are.
double merge_bound(CausalLm& model, at::ScalarType stored);

}  // namespace herd
