#include "peft/merge.h"

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {

std::int64_t merge_adapter(CausalLm& model) {
  at::NoGradGuard no_grad;
  if (model.side)
    throw ConfigError({.who = "merging",
                       .found = "an adapter of virtual tokens or of keys and values",
                       .expected = "one that changes weights: no weight can stand for what a text is told beside its tokens",
                       .remedy = "use the adapter as it is: --model BASE --adapter FOLDER with herd generate, or PEFT"});
  std::int64_t merged = 0;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    if (!linear.slot()) return;
    const auto weight = linear.slot()->merged(linear.storage().dense());
    if (!weight)
      throw ConfigError({.who = name,
                         .found = "a method that no matrix can stand for",
                         .expected = "one that can be merged",
                         .remedy = "use the adapter as it is"});
    linear.set_weight(*weight);
    // What one matrix can stand for is linear: a bias goes through what comes after it.
    if (auto& bias = linear.bias(); bias.defined()) bias.value.detach().copy_(linear.slot()->after(bias.value.detach().to(at::kFloat)));
    linear.fill_slot(nullptr);
    ++merged;
  });
  assign_names(model);
  return merged;
}

Batch probe_batch(const CausalLm& model) {
  constexpr std::int64_t kRows = 4, kTokens = 64;
  const auto length = std::min(kTokens, std::max<std::int64_t>(1, model.facts.max_positions));
  Random random(0, hash_name("merge probe"));
  std::vector<std::vector<std::int64_t>> rows(kRows);
  for (auto& row : rows)
    for (std::int64_t i = 0; i < length; ++i)
      row.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(model.facts.vocab_size))));
  return plain_batch(rows);
}

Tensor probe_logits(CausalLm& model, const Batch& batch) {
  at::NoGradGuard no_grad;
  model.random->training = false;
  return model.logits(batch).to(at::kFloat);
}

MergeDeviation deviation(const Tensor& adapter_logits, const Tensor& merged_logits) {
  return {.greatest = (merged_logits - adapter_logits).abs().max().item<double>(),
          .scale = std::max(1.0, adapter_logits.abs().max().item<double>())};
}

double merge_bound(CausalLm& model, at::ScalarType stored) {
  if (stored != at::kBFloat16 && stored != at::kHalf) return 1e-4;
  std::int64_t layers = 0;
  for_each_linear(model, [&](const std::string&, Linear&) { ++layers; });
  const double unit = stored == at::kBFloat16 ? 0x1p-9 : 0x1p-12;
  return 4 * unit * std::sqrt(static_cast<double>(layers));
}

}  // namespace herd
