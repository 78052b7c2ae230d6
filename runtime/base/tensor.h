#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace herd {

using at::Tensor;

}  // namespace herd
