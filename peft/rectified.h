#pragma once
#include "runtime/base/tensor.h"

namespace herd {

/// max(x, 0), also on the meta device, which at::relu does not know.
inline Tensor rectified(const Tensor& x) { return at::threshold(x, 0, 0); }

}  // namespace herd
