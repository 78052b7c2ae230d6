#pragma once
#include <optional>

#include "peft/method.h"

namespace herd {

/// LoRA (Hu et al. 2021, section 4.1): y = x·Wᵀ + s · (drop(x)·Aᵀ)·Bᵀ with W frozen, A [r, in], B [out, r], s = alpha / r (alpha / √r with
/// use_rslora: Kalajdzievski 2023). A starts uniform in ±1/√in (PyTorch's Linear default, as PEFT), B at zero.
///
/// A and B are fp32 on a bf16 or fp16 base, as PEFT's autocast_adapter_dtype keeps them, but the products run in the base's format
/// (sums in fp32 inside): PEFT widens x for them, which costs a copy of x and a slow product, to save one rounding of x·Aᵀ.
/// Dropout's mask is a pure function of (seed, step, row, layer, position): the same on any number of ranks and when recomputed.
void attach_lora(CausalLm& model, const PeftOptions& options, std::optional<std::uint64_t> seed);
void write_lora_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_lora_config(const nlohmann::json& json, PeftOptions& options);

}  // namespace herd
