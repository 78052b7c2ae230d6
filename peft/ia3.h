#pragma once
#include "peft/method.h"

namespace herd {

/// (IA)³ (Liu et al. 2022, section 3.3): a trained vector l, ones at the start, times a layer's output, its bias included; at layers that
/// feedforward_modules names, times their input. PEFT's `ia3_l`: [out, 1], or [1, in].
/// Merges exactly: l scales rows and bias, or columns. l is fp32 and so is the product, rounded once.
void attach_ia3(CausalLm& model, const PeftOptions& options, const PeftStart& start);
void complete_ia3(PeftOptions& options, const std::string& family);
void write_ia3_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_ia3_config(const nlohmann::json& json, PeftOptions& options);

}  // namespace herd
