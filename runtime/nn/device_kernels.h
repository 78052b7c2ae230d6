#pragma once
#include "runtime/base/tensor.h"
#include "runtime/nn/four_bit.h"

namespace herd {

/// A matrix in four bits in a GPU's memory, laid out as FourBitWeight keeps it.
struct DeviceFourBit {
  const kernel::FourBitBook* book;  ///< on the host
  int block_bits;                   ///< log₂ of the block's size
  std::int64_t in;                  ///< numbers a row
  const std::uint8_t* codes;
  const float* scales;        ///< fp32 a block; with double quantisation their mean, then an fp32 a kNestedBlock
  const std::uint8_t* bytes;  ///< double quantisation: a code of the dynamic format a block; else null
};

/// A matrix in eight bits in a GPU's memory: whole numbers, and the greatest magnitude of each row.
struct DeviceInt8 {
  std::int64_t in;
  const std::int8_t* codes;
  const float* absmax;
};

/// The loops over quantised matrices on a GPU, on the calling thread's current stream; libherd_cuda has them. Tensors are contiguous, fp32,
/// bf16 or fp16. The dequantised numbers are the CPU's to the bit, rounded once. @throws ConfigError for a launch that fails.
struct DeviceKernels {
  /// A tile from that row and column on; the column and the tile's columns are even.
  void (*dequantise_four_bit)(const DeviceFourBit& w, std::int64_t first_row, std::int64_t first_column, const Tensor& tile_rc);
  void (*dequantise_int8)(const DeviceInt8& w, std::int64_t first_row, std::int64_t first_column, const Tensor& tile_rc);
  /// x · Wᵀ for up to kMostRows rows, from the codes; `in` a multiple of kUnit. x [n, in] → y [n, out], like x.
  void (*multiply_four_bit)(const DeviceFourBit& w, const Tensor& x_ni, const Tensor& y_no);
  /// The same of inputs that quantise_int8 has quantised; what it left out meets the dequantised weight.
  void (*multiply_int8)(const DeviceInt8& w, const Tensor& x_ni, const Tensor& codes_ni, const Tensor& absmax_n, const Tensor& left_out_n,
                        float threshold, const Tensor& y_no);
  /// Codes (int8 [n, in]), the greatest magnitude below `threshold` a row (fp32 [n]), and whether a row has numbers from there on (bytes [n]).
  void (*quantise_int8)(const Tensor& x_ni, float threshold, const Tensor& codes_ni, const Tensor& absmax_n, const Tensor& left_out_n);
  /// Products of codes with rows of the matrix from `first_row` on (int32 [at least n, r]) as numbers, with what was left out (fp32 [n, r], or
  /// undefined), into y [n, r], of which only the rows need be contiguous.
  void (*scale_int8)(const DeviceInt8& w, std::int64_t first_row, const Tensor& products_nr, const Tensor& absmax_n, const Tensor& left_out_nr,
                     const Tensor& y_nr);

  static constexpr std::int64_t kMostRows = 4, kUnit = 32;
};

/// Those of the module that has been opened (parallel/comm/cuda_module.h), for tensors like this one; null where there are none: then tensor
/// operations do their work.
const DeviceKernels* device_kernels(const Tensor& like);
void use_device_kernels(const DeviceKernels* kernels);

/// What libherd_cuda has; defined there alone.
const DeviceKernels& cuda_kernels();

}  // namespace herd
