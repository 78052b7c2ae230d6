#pragma once
#include <optional>

#include "runtime/nn/linear.h"

namespace herd {

/// What a method's new parameters begin from.
struct PeftStart {
  std::optional<std::uint64_t> seed{};  ///< the same on every rank; none: they stay on the meta device, their shapes alone are wanted
  ReadParameter read{};                 ///< values of the base where it is on the meta device
};

/// Gives a parameter that a method adds to a layer its name in PEFT's file, its dtype (fp32 beside bf16 and fp16 weights) and its values.
/// @param name the layer's and the parameter's own: "model.layers.0.mlp.up_proj.lora_A.weight".
void begin(Parameter& parameter, const std::string& name, Linear& layer, const PeftStart& start);

/// The matrix [out, in] of a layer, fp32; where its storage is on the meta device it is read, and goes again.
/// @throws ConfigError where nobody has its values.
Tensor base_matrix(const std::string& name, Linear& layer, const PeftStart& start);

}  // namespace herd
