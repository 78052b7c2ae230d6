#pragma once
#include "runtime/nn/parameter.h"
#include "runtime/tensor/safetensors.h"

namespace herd {

/// Hands on a parameter's values piece by piece, in its dtype. Empty: they are in `value`.
using ParameterValues = std::function<void(const Parameter&, const TakePiece& take)>;

/// A parameter on its way into a file. @param parameter and what `values` refers to outlive the result.
TensorToWrite to_write(const std::string& name, const Parameter& parameter, const ParameterValues& values = {});

}  // namespace herd
