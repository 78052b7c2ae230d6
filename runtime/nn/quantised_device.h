#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

// The loops of device_kernels.h over plain memory: what nvcc compiles. Each returns what its launch said.
namespace herd::device {

enum class Number { kFloat, kBFloat16, kHalf };

/// As DeviceFourBit; the books by value, which a launch takes along.
struct FourBit {
  float values[16];
  float dynamic[256];
  int block_bits;
  std::int64_t in;
  const std::uint8_t* codes;
  const float* scales;
  const std::uint8_t* bytes;
};
struct Int8 {
  std::int64_t in;
  const std::int8_t* codes;
  const float* absmax;
};
/// Inputs as quantise_int8 leaves them.
struct Int8Inputs {
  const void* x;
  const std::int8_t* codes;
  const float* absmax;
  const std::uint8_t* left_out;
  float below;  ///< the threshold; infinity: none
};

/// A tile of the matrix, and where it goes, row by row.
struct Tile {
  std::int64_t first_row, first_column, rows, columns;
  void* to;
};

cudaError_t dequantise(const FourBit& w, const Tile& tile, Number number, cudaStream_t stream);
cudaError_t dequantise(const Int8& w, const Tile& tile, Number number, cudaStream_t stream);
cudaError_t multiply(const FourBit& w, const void* x, std::int64_t n, std::int64_t out, Number number, void* y, cudaStream_t stream);
cudaError_t multiply(const Int8& w, const Int8Inputs& inputs, std::int64_t n, std::int64_t out, Number number, void* y, cudaStream_t stream);
cudaError_t quantise(const void* x, std::int64_t n, std::int64_t in, float below, Number number, std::int8_t* codes, float* absmax,
                     std::uint8_t* left_out, cudaStream_t stream);

/// As DeviceKernels::scale_int8: n rows of r numbers.
struct Scaling {
  const std::int32_t* products;
  const float *x_absmax, *w_absmax, *left_out;  ///< left_out: null where nothing was
  std::int64_t n, r, y_stride;
  void* y;
};
cudaError_t scale(const Scaling& s, Number number, cudaStream_t stream);

}  // namespace herd::device
