#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

/// The name that safetensors files and checkpoints give a dtype: F32, BF16, F16, I64, U8, BOOL, …; "" for what they have no name for.
std::string_view dtype_name(at::ScalarType dtype);
/// The reverse; nothing where the name is unknown to libtorch.
std::optional<at::ScalarType> dtype_from_name(std::string_view name);
/// All of them, by alignment, the smallest first: the order of Hugging Face's safetensors, which lays tensors out by it.
const std::vector<at::ScalarType>& stored_dtypes();
/// `[2, 3]`, as errors name shapes.
std::string shape_text(at::IntArrayRef shape);

}  // namespace herd
