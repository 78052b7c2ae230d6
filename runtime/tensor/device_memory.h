#pragma once
#include <cstdint>

#include "runtime/base/tensor.h"

namespace herd {

/// Most bytes of tensors that this process has held on a GPU at one time, as libtorch's allocator counts them (not what it keeps in
/// reserve). @param device a GPU in use by this process.
std::int64_t peak_bytes_on(at::Device device);

}  // namespace herd
