#pragma once
#include "peft/method.h"

namespace herd {

/// Bottleneck adapters: a(x) = s · act(drop(x)·Downᵀ)·Upᵀ, Down [b, width], Up [width, b], no biases, in one of three places of a linear
/// layer:
/// - before it, y = W(x + a(x)): adapter_h at what leads into the MLP;
/// - after it, y = W(x) + a(W(x)), bias included: adapter_h and adapter_p at what leads out of the MLP;
/// - beside it, y = W(x) + a(x): adapter_parallel, at what makes queries, keys and values.
/// adapter_h stands for Houlsby et al. 2019, adapter_p for Pfeiffer et al. 2021, adapter_parallel for He et al. 2022, each as the PEFT fork
/// of LLaMA-Adapters (Hu et al. 2023) places them; its names and keys (BOTTLENECK) are those of the folder. No matrix stands for them: they
/// do not merge. init true is its `mam_adapter` (Down uniform in ±1/√width, Up zero: no change at first), false its `bert` (both N(0,
/// 0.02²)).
void attach_adapter_h(CausalLm& model, const PeftOptions& options, const PeftStart& start);
void attach_adapter_p(CausalLm& model, const PeftOptions& options, const PeftStart& start);
void attach_adapter_parallel(CausalLm& model, const PeftOptions& options, const PeftStart& start);
void complete_bottleneck(PeftOptions& options, const std::string& family);
void write_bottleneck_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_bottleneck_config(const nlohmann::json& json, PeftOptions& options);

}  // namespace herd
