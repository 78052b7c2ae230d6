#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

namespace herd {

enum class DeviceNumber { kFloat, kDouble, kBFloat16, kHalf, kLong, kInt, kByte };
enum class DeviceReduction { kSum, kMax, kMin };

/// output[i] = part 0 [i] op part 1 [i] op …, in this order; bf16 and fp16 in fp32, rounded once; NaN wins in max and min. Part `own_rank`
/// lies at `own`, part r at gathered + r·stride (bytes). As reduce_in_order (reduce.h) does on the CPU, to the bit.
cudaError_t reduce_on_device(DeviceNumber number, DeviceReduction reduction, const char* gathered, std::int64_t stride, int count, int own_rank,
                             const char* own, char* output, std::int64_t elements, cudaStream_t stream);

}  // namespace herd
