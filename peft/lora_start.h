#pragma once
#include <string>
#include <utility>

#include "peft/peft_options.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/parameter_values.h"

// Starts of LoRA from the base's weights. PEFT takes s·B₀·A₀ out of the base and puts s·B·A in; herd leaves the base alone and adds
// s·(B·A − B₀·A₀), which is the same function on any weight storage, sharded or streamed (docs/decisions/lora-starts-beside-the-base.md).
namespace herd {

/// Whether a new adapter's start is made of the base's weights.
inline bool begins_from_base(const PeftOptions& o) { return o.init == AdapterInit::kPissa || o.init == AdapterInit::kOlora; }

/// Names of A₀ and B₀ inside a layer.
inline constexpr const char* kFirstA = "lora_A0.weight";
inline constexpr const char* kFirstB = "lora_B0.weight";

/// A [r, in] and B [out, r] with s·B·A the best approximation of rank r: √(S/s)·Vᵀ and U·√(S/s) of the greatest singular values (PiSSA,
/// Meng et al. 2024, section 3). On one thread: the same bits wherever it runs.
std::pair<Tensor, Tensor> pissa(const Tensor& weight, std::int64_t r, double s);

/// The first r rows of R and columns of Q of W = Q·R (OLoRA, Büyükakyüz 2024, section 3).
std::pair<Tensor, Tensor> olora(const Tensor& weight, std::int64_t r);

/// The adapter as plain LoRA on the base as it was: A over A₀, B beside −B₀, twice the rank and the same scale.
/// @return its tensors; `options` become what describes them. @param values of the trained parameters where they are not in memory.
std::vector<TensorToWrite> as_plain_lora(CausalLm& model, PeftOptions& options, const ParameterValues& values);

}  // namespace herd
