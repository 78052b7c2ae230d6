#include "peft/merge.h"

#include <cmath>

#include "peft/registry.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {

namespace {

void note_rounding(MergedMatrices::Rounding& worst, const std::string& layer, const Tensor& base, const Tensor& exact, const Tensor& rounded) {
  const auto length = [](const Tensor& x) { return at::linalg_vector_norm(x).item<double>(); };
  const auto lost = length(rounded - exact), moved = length(exact - base);
  if (moved == 0 || (!worst.layer.empty() && lost / moved <= worst.of_update)) return;
  worst = {.layer = layer, .of_matrix = lost / length(exact), .of_update = lost / moved};
}

}  // namespace

MergedMatrices merge_adapter(CausalLm& model, std::optional<at::ScalarType> stored) {
  at::NoGradGuard no_grad;
  if (model.side)
    throw ConfigError({.who = "merging",
                       .found = "an adapter of virtual tokens or of keys and values",
                       .expected = "one that changes weights: no weight can stand for what a text is told beside its tokens",
                       .remedy = "use the adapter as it is: --model BASE --adapter FOLDER with herd generate, or PEFT"});
  MergedMatrices merged;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    const bool quantised = !linear.has_dense_weight();
    if (!linear.slot() && !quantised) return;
    const auto base = linear.storage().dense();
    const auto exact = linear.slot() ? linear.slot()->merged(base) : base;
    if (!exact)
      throw ConfigError({.who = name,
                         .found = "a method that no matrix can stand for",
                         .expected = "one that can be merged",
                         .remedy = "use the adapter as it is"});
    const auto rounded = stored ? exact->to(*stored).to(at::kFloat) : *exact;
    if (linear.slot()) note_rounding(merged.rounding, name, base, *exact, rounded);  // before the base's own memory changes
    linear.set_weight(rounded);
    merged.dequantised += quantised;
    if (!linear.slot()) return;
    // What one matrix can stand for is linear: a bias goes through what comes after it.
    if (auto& bias = linear.bias(); bias.defined()) bias.value.detach().copy_(linear.slot()->after(bias.value.detach().to(at::kFloat)));
    linear.fill_slot(nullptr);
    ++merged.updated;
  });
  assign_names(model);
  return merged;
}

void check_merges(const std::filesystem::path& adapter, const std::string& method) {
  const auto& entry = peft_methods().at(method);
  if (entry.merges) return;
  std::vector<std::string> merging;
  for (const auto& [name, other] : peft_methods())
    if (other.merges && !other.peft_type.empty()) merging.push_back(name);
  throw ConfigError({.who = "merging " + adapter.string(),
                     .found = "an adapter of " + method + ": " + entry.summary,
                     .expected = "one that weights can stand for: of " + join(merging),
                     .remedy = "use the adapter as it is: herd generate --model BASE --adapter " + adapter.string()});
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
  const auto off = (merged_logits - adapter_logits).abs();
  MergeDeviation found{.greatest = off.max().item<double>(), .mean = off.mean(at::kDouble).item<double>(),
                       .scale = std::max(1.0, adapter_logits.abs().max().item<double>())};
  const auto rows = adapter_logits.size(0);
  for (std::int64_t row = 0; row < rows; ++row) {  // in fp64, a row at a time: of nearly equal logits fp32 tells noise
    const auto a = adapter_logits[row].to(at::kDouble).log_softmax(-1), m = merged_logits[row].to(at::kDouble).log_softmax(-1);
    found.divergence += (a.exp() * (a - m)).sum(-1).mean().item<double>() / static_cast<double>(rows);
    found.same_choice += a.argmax(-1).eq(m.argmax(-1)).to(at::kDouble).mean().item<double>() / static_cast<double>(rows);
  }
  return found;
}

double merge_bound(CausalLm& model, at::ScalarType stored) {
  const double unit = stored == at::kBFloat16 ? 0x1p-9 : stored == at::kHalf ? 0x1p-12 : 0;
  double squares = 0;
  for_each_linear(model, [&](const std::string&, Linear& linear) {
    const auto of_inputs = linear.storage().input_rounding();
    squares += unit * unit + of_inputs * of_inputs;
  });
  return std::max(1e-4, 4 * std::sqrt(squares));
}

}  // namespace herd
