#pragma once
#include "runtime/nn/parameter.h"

namespace herd {

/// A stretch of a trainable parameter that one rank updates: all of it, or a part.
struct Slice {
  Parameter* parameter = nullptr;
  std::int64_t begin = 0, end = 0;  ///< elements of the flattened parameter
  Tensor value;                     ///< 1-d view of them, in the parameter's dtype; on the host where parameters are offloaded
  Tensor grad;                      ///< 1-d, fp32; fp64 where the parameter is; on the ranks' device
};

}  // namespace herd
