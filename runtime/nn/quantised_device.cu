#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "runtime/nn/quantised_device.h"

// Products and sums that the CPU rounds apart are rounded apart here (__fmul_rn, __fadd_rn): the same dequantised numbers.
namespace herd::device {
namespace {

constexpr int kThreads = 256, kWarp = 32, kRowsABlock = kThreads / kWarp;
constexpr int kUnit = 32;  // numbers a lane takes at a time; every block's size is a multiple of it
constexpr float kOver127 = 1.0f / 127;
constexpr std::int64_t kNestedBlock = 256;

template <class T>
struct As;
template <>
struct As<float> {
  static __device__ float wide(float x) { return x; }
  static __device__ float narrow(float x) { return x; }
};
template <>
struct As<__nv_bfloat16> {
  static __device__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
  static __device__ __nv_bfloat16 narrow(float x) { return __float2bfloat16_rn(x); }
};
template <>
struct As<__half> {
  static __device__ float wide(__half x) { return __half2float(x); }
  static __device__ __half narrow(float x) { return __float2half_rn(x); }
};

// Numbers that are read and written together.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount > 16 ? 16 : sizeof(T) * kCount) Pack {
  T of[kCount];
};

struct Books {
  float values[16], dynamic[256];
};
__device__ void bring(const FourBit& w, Books& books) {
  for (int i = threadIdx.x; i < 256; i += kThreads) books.dynamic[i] = w.dynamic[i];
  if (threadIdx.x < 16) books.values[threadIdx.x] = w.values[threadIdx.x];
  __syncthreads();
}
__device__ float scale_of(const FourBit& w, const Books& books, std::int64_t number) {
  const auto block = number >> w.block_bits;
  return w.bytes ? __fadd_rn(__fmul_rn(books.dynamic[w.bytes[block]], w.scales[1 + block / kNestedBlock]), w.scales[0]) : w.scales[block];
}

template <class T, int kBytes>
__global__ void dequantise_four_bit(const FourBit w, const Tile tile) {
  __shared__ Books books;
  bring(w, books);
  const auto packs = tile.columns / (2 * kBytes);  // a row
  const auto step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < tile.rows * packs; i += step) {
    const auto number = (tile.first_row + i / packs) * w.in + tile.first_column + i % packs * (2 * kBytes);
    const auto codes = *reinterpret_cast<const Pack<std::uint8_t, kBytes>*>(w.codes + number / 2);
    const auto scale = scale_of(w, books, number);
    Pack<T, 2 * kBytes> numbers;
#pragma unroll
    for (int j = 0; j < kBytes; ++j) {
      numbers.of[2 * j] = As<T>::narrow(__fmul_rn(books.values[codes.of[j] >> 4], scale));
      numbers.of[2 * j + 1] = As<T>::narrow(__fmul_rn(books.values[codes.of[j] & 15], scale));
    }
    static_cast<Pack<T, 2 * kBytes>*>(tile.to)[i] = numbers;
  }
}

__device__ float dequantised(const Int8& w, std::int64_t row, std::int64_t column) {
  return __fmul_rn(__fmul_rn(static_cast<float>(w.codes[row * w.in + column]), w.absmax[row]), kOver127);
}

template <class T>
__global__ void dequantise_int8(const Int8 w, const Tile tile) {
  const auto step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < tile.rows * tile.columns; i += step)
    static_cast<T*>(tile.to)[i] = As<T>::narrow(dequantised(w, tile.first_row + i / tile.columns, tile.first_column + i % tile.columns));
}

template <class T>
__global__ void scale_int8(const Scaling s) {
  const auto step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (auto i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < s.n * s.r; i += step) {
    const auto row = i / s.r, column = i % s.r;
    const auto scale = __fmul_rn(__fmul_rn(s.x_absmax[row], kOver127 * kOver127), s.w_absmax[column]);
    const auto product = __fmul_rn(static_cast<float>(s.products[i]), scale);
    static_cast<T*>(s.y)[row * s.y_stride + column] = As<T>::narrow(s.left_out ? __fadd_rn(product, s.left_out[i]) : product);
  }
}

__device__ float over_warp(float x) {
  for (int far = kWarp / 2; far > 0; far /= 2) x += __shfl_xor_sync(0xffffffffu, x, far);
  return x;
}

// A warp an output; a lane reads 32 codes at a time, of one block, and uses them for every row of x.
template <class T, int kRows>
__global__ void multiply_four_bit(const FourBit w, const T* x, std::int64_t out, T* y) {
  __shared__ Books books;
  bring(w, books);
  const auto o = static_cast<std::int64_t>(blockIdx.x) * kRowsABlock + threadIdx.x / kWarp;
  if (o >= out) return;
  float sum[kRows] = {};
  for (std::int64_t k = threadIdx.x % kWarp * kUnit; k < w.in; k += kWarp * kUnit) {
    const auto number = o * w.in + k;
    const auto codes = *reinterpret_cast<const Pack<std::uint8_t, 16>*>(w.codes + number / 2);
    float part[kRows] = {};
#pragma unroll
    for (int four = 0; four < 4; ++four) {
      Pack<T, 8> factors[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r) factors[r] = *reinterpret_cast<const Pack<T, 8>*>(x + r * w.in + k + 8 * four);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const auto code = codes.of[4 * four + j];
        const auto even = books.values[code >> 4], odd = books.values[code & 15];
#pragma unroll
        for (int r = 0; r < kRows; ++r)
          part[r] += even * As<T>::wide(factors[r].of[2 * j]) + odd * As<T>::wide(factors[r].of[2 * j + 1]);
      }
    }
    const auto scale = scale_of(w, books, number);
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] += part[r] * scale;
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const auto whole = over_warp(sum[r]);
    if (threadIdx.x % kWarp == 0) y[r * out + o] = As<T>::narrow(whole);
  }
}

// Whole numbers are summed as such: no order of them gives another result.
template <class T, int kRows>
__global__ void multiply_int8(const Int8 w, const Int8Inputs inputs, std::int64_t out, T* y) {
  const auto o = static_cast<std::int64_t>(blockIdx.x) * kRowsABlock + threadIdx.x / kWarp;
  if (o >= out) return;
  const auto lane = threadIdx.x % kWarp;
  const auto* row = w.codes + o * w.in;
  int sum[kRows] = {};
  for (std::int64_t k = lane * 16; k < w.in; k += kWarp * 16) {
    const auto codes = *reinterpret_cast<const int4*>(row + k);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const auto x = *reinterpret_cast<const int4*>(inputs.codes + r * w.in + k);
      sum[r] = __dp4a(codes.x, x.x, __dp4a(codes.y, x.y, __dp4a(codes.z, x.z, __dp4a(codes.w, x.w, sum[r]))));
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    int whole = sum[r];
    for (int far = kWarp / 2; far > 0; far /= 2) whole += __shfl_xor_sync(0xffffffffu, whole, far);
    float rest = 0;
    if (inputs.left_out[r]) {
      const auto* x = static_cast<const T*>(inputs.x) + r * w.in;
      for (std::int64_t k = lane; k < w.in; k += kWarp) {
        const auto factor = As<T>::wide(x[k]);
        if (!(fabsf(factor) < inputs.below)) rest += factor * dequantised(w, o, k);
      }
      rest = over_warp(rest);
    }
    const auto scale = __fmul_rn(inputs.absmax[r], kOver127 * kOver127);
    if (lane == 0) y[r * out + o] = As<T>::narrow(__fadd_rn(__fmul_rn(static_cast<float>(whole), __fmul_rn(scale, w.absmax[o])), rest));
  }
}

// A block of threads a row.
template <class T>
__global__ void quantise_int8(const T* x, std::int64_t in, float below, std::int8_t* codes, float* absmax, std::uint8_t* left_out) {
  __shared__ float most_of[kRowsABlock];
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  x += row * in;
  codes += row * in;
  float most = 0;
  bool any = false;
  for (std::int64_t k = threadIdx.x; k < in; k += kThreads) {
    const auto size = fabsf(As<T>::wide(x[k]));
    if (size < below) most = fmaxf(most, size);
    else any = true;
  }
  for (int far = kWarp / 2; far > 0; far /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, far));
  if (threadIdx.x % kWarp == 0) most_of[threadIdx.x / kWarp] = most;
  any = __syncthreads_or(any);
  for (const auto other : most_of) most = fmaxf(most, other);
  const auto factor = most > 0 ? __fdiv_rn(127.0f, most) : 0.0f;
  for (std::int64_t k = threadIdx.x; k < in; k += kThreads) {
    const auto number = As<T>::wide(x[k]);
    codes[k] = fabsf(number) < below ? static_cast<std::int8_t>(__float2int_rn(__fmul_rn(number, factor))) : std::int8_t{0};
  }
  if (threadIdx.x == 0) absmax[row] = most, left_out[row] = any;
}

unsigned blocks_for(std::int64_t work) {
  constexpr std::int64_t kMost = 4096;
  const auto wanted = (work + kThreads - 1) / kThreads;
  return static_cast<unsigned>(wanted < kMost ? wanted : kMost);
}

template <class F>
cudaError_t with(Number number, F f) {
  switch (number) {
    case Number::kFloat: f(float{}); break;
    case Number::kBFloat16: f(__nv_bfloat16{}); break;
    case Number::kHalf: f(__half{}); break;
  }
  return cudaGetLastError();
}

template <int kCount>
struct Count {};
template <class F>
void with_rows(std::int64_t n, F f) {
  switch (n) {
    case 1: return f(Count<1>{});
    case 2: return f(Count<2>{});
    case 3: return f(Count<3>{});
    default: return f(Count<4>{});
  }
}

}  // namespace

cudaError_t dequantise(const FourBit& w, const Tile& tile, Number number, cudaStream_t stream) {
  return with(number, [&]<class T>(T) {
    const auto run = [&]<int kBytes>(Count<kBytes>) {
      dequantise_four_bit<T, kBytes><<<blocks_for(tile.rows * tile.columns / (2 * kBytes)), kThreads, 0, stream>>>(w, tile);
    };
    if (w.in % 8 == 0 && tile.first_column % 8 == 0 && tile.columns % 8 == 0) run(Count<4>{});
    else run(Count<1>{});
  });
}

cudaError_t dequantise(const Int8& w, const Tile& tile, Number number, cudaStream_t stream) {
  return with(number, [&]<class T>(T) { dequantise_int8<T><<<blocks_for(tile.rows * tile.columns), kThreads, 0, stream>>>(w, tile); });
}

cudaError_t scale(const Scaling& s, Number number, cudaStream_t stream) {
  return with(number, [&]<class T>(T) { scale_int8<T><<<blocks_for(s.n * s.r), kThreads, 0, stream>>>(s); });
}

cudaError_t multiply(const FourBit& w, const void* x, std::int64_t n, std::int64_t out, Number number, void* y, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((out + kRowsABlock - 1) / kRowsABlock);
  return with(number, [&]<class T>(T) {
    with_rows(n, [&]<int kRows>(Count<kRows>) {
      multiply_four_bit<T, kRows><<<blocks, kThreads, 0, stream>>>(w, static_cast<const T*>(x), out, static_cast<T*>(y));
    });
  });
}

cudaError_t multiply(const Int8& w, const Int8Inputs& inputs, std::int64_t n, std::int64_t out, Number number, void* y, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((out + kRowsABlock - 1) / kRowsABlock);
  return with(number, [&]<class T>(T) {
    with_rows(n, [&]<int kRows>(Count<kRows>) { multiply_int8<T, kRows><<<blocks, kThreads, 0, stream>>>(w, inputs, out, static_cast<T*>(y)); });
  });
}

cudaError_t quantise(const void* x, std::int64_t n, std::int64_t in, float below, Number number, std::int8_t* codes, float* absmax,
                     std::uint8_t* left_out, cudaStream_t stream) {
  return with(number, [&]<class T>(T) {
    quantise_int8<T><<<static_cast<unsigned>(n), kThreads, 0, stream>>>(static_cast<const T*>(x), in, below, codes, absmax, left_out);
  });
}

}  // namespace herd::device
