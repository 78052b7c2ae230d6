#pragma once
#include "peft/method.h"

namespace herd {

/// LoRA (Hu et al. 2021, section 4.1): y = x·Wᵀ + s · (drop(x)·Aᵀ)·Bᵀ with W frozen, A [r, in], B [out, r], s = alpha / r (alpha / √r with
/// use_rslora: Kalajdzievski 2023). A starts uniform in ±1/√in (PyTorch's Linear default, as PEFT), B at zero; lora_start.h has the others.
///
/// DoRA (use_dora; Liu et al. 2024, equation 5): that sum, row by row, times m / ‖W + s·B·A‖, m [out] trained from ‖W‖ on, the length a constant
/// of the backward. Dropout drops the update's input alone (PEFT also drops that of the base's share in m / ‖…‖ − 1).
/// LoRA+ (lora_plus_ratio; Hayou et al. 2024): B learns at so many times A's learning rate.
///
/// A and B are fp32 on a bf16 or fp16 base, as PEFT's autocast_adapter_dtype keeps them, but the products run in the base's format
/// (sums in fp32 inside): PEFT widens x for them, which costs a copy of x and a slow product, to save one rounding of x·Aᵀ.
/// Dropout's mask is a pure function of (seed, step, row, layer, position): the same on any number of ranks and when recomputed.
void attach_lora(CausalLm& model, const PeftOptions& options, const PeftStart& start);
void complete_lora(PeftOptions& options, const std::string& family);
double lora_learning_rate_factor(const PeftOptions& options, const Parameter& parameter);
void write_lora_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_lora_config(const nlohmann::json& json, PeftOptions& options);

}  // namespace herd
