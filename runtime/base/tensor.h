#pragma once
#include <ATen/ATen.h>

namespace herd {

using at::Tensor;

}  // namespace herd
