#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "parallel/comm/nccl_reduce.h"

namespace herd {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1024;  // the rest of the device goes on computing

// How a number is summed: wide in, rounded once on the way out.
template <class T>
struct Wide {
  using type = T;
  static __device__ T in(T x) { return x; }
  static __device__ T out(T x) { return x; }
};
template <>
struct Wide<__nv_bfloat16> {
  using type = float;
  static __device__ float in(__nv_bfloat16 x) { return __bfloat162float(x); }
  static __device__ __nv_bfloat16 out(float x) { return __float2bfloat16_rn(x); }
};
template <>
struct Wide<__half> {
  using type = float;
  static __device__ float in(__half x) { return __half2float(x); }
  static __device__ __half out(float x) { return __float2half_rn(x); }
};

// Integers wrap: their sums are taken without a sign, where that is defined.
struct Sum {
  template <class T>
  static __device__ T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
    else return a + b;
  }
};
template <bool kGreater>
struct Extreme {
  template <class T>
  static __device__ T apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      if (a != a) return a;
      if (b != b) return b;
    }
    return (kGreater ? b > a : b < a) ? b : a;
  }
};

// `output` may be one of the parts: each thread reads all parts of an element before it writes it.
template <class T, class Op>
__global__ void reduce_parts(const char* gathered, std::int64_t stride, int count, int own_rank, const T* own, T* output, std::int64_t elements) {
  using W = Wide<T>;
  const auto step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += step) {
    typename W::type total{};
    for (int r = 0; r < count; ++r) {
      const T* part = r == own_rank ? own : reinterpret_cast<const T*>(gathered + r * stride);
      const auto x = W::in(part[i]);
      total = r == 0 ? x : Op::apply(total, x);
    }
    output[i] = W::out(total);
  }
}

template <class T>
cudaError_t launch(DeviceReduction reduction, const char* gathered, std::int64_t stride, int count, int own_rank, const char* own, char* output,
                   std::int64_t elements, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(std::min((elements + kThreads - 1) / kThreads, kMostBlocks));
  const auto* mine = reinterpret_cast<const T*>(own);
  auto* to = reinterpret_cast<T*>(output);
  switch (reduction) {
    case DeviceReduction::kSum: reduce_parts<T, Sum><<<blocks, kThreads, 0, stream>>>(gathered, stride, count, own_rank, mine, to, elements); break;
    case DeviceReduction::kMax:
      reduce_parts<T, Extreme<true>><<<blocks, kThreads, 0, stream>>>(gathered, stride, count, own_rank, mine, to, elements);
      break;
    case DeviceReduction::kMin:
      reduce_parts<T, Extreme<false>><<<blocks, kThreads, 0, stream>>>(gathered, stride, count, own_rank, mine, to, elements);
      break;
  }
  return cudaGetLastError();
}

}  // namespace

cudaError_t reduce_on_device(DeviceNumber number, DeviceReduction reduction, const char* gathered, std::int64_t stride, int count, int own_rank,
                             const char* own, char* output, std::int64_t elements, cudaStream_t stream) {
  if (elements == 0) return cudaSuccess;
  const auto run = [&]<class T>(T) { return launch<T>(reduction, gathered, stride, count, own_rank, own, output, elements, stream); };
  switch (number) {
    case DeviceNumber::kFloat: return run(float{});
    case DeviceNumber::kDouble: return run(double{});
    case DeviceNumber::kBFloat16: return run(__nv_bfloat16{});
    case DeviceNumber::kHalf: return run(__half{});
    case DeviceNumber::kLong: return run(std::int64_t{});
    case DeviceNumber::kInt: return run(std::int32_t{});
    case DeviceNumber::kByte: return run(std::uint8_t{});
  }
  return cudaErrorInvalidValue;
}

}  // namespace herd
