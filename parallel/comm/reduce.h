#pragma once
#include <cstdint>
#include <span>

#include "parallel/comm/communicator.h"
#include "runtime/base/error.h"

namespace herd {

/// output[i] = sources[0][i] op sources[1][i] op … in this order, `elements` of `dtype`; bf16 and fp16 in fp32, rounded once.
/// `output` may be one of the sources. NaN wins in max and min. Integers wrap.
void reduce_in_order(at::ScalarType dtype, ReduceOp op, std::span<const void* const> sources, void* output, std::int64_t elements);

}  // namespace herd
