#pragma once
#include "runtime/nn/device_kernels.h"
#include "runtime/nn/four_bit.h"
#include "runtime/nn/quantised_weight.h"

namespace herd {

/// NF4 or FP4 with blocks of consecutive numbers of the flattened matrix, their magnitudes in fp32 or quantised in turn (Dettmers et al. 2023,
/// "QLoRA", section 3).
class FourBitWeight final : public QuantisedWeight {
 public:
  /// @param block a power of two from 32 on. @throws ConfigError where `in` is odd.
  FourBitWeight(const kernel::FourBitBook& book, const Parameter& dense, std::int64_t block, bool double_quant);
  void read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const override;
  Tensor dequantised(std::int64_t begin, std::int64_t end) const override;

 private:
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, float* to) const override;
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const override;
  Tensor few_rows(const Tensor& x_ni) const override;
  Tensor product_on_device(const Tensor& x_ni) const override;
  bool fill_by_kernel(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const override;
  DeviceFourBit on_device() const;

  std::int64_t blocks() const { return (out() * in() + block_ - 1) / block_; }
  std::int64_t nested() const { return (blocks() + kernel::kNestedBlock - 1) / kernel::kNestedBlock; }
  Tensor absmax_of(std::int64_t first, std::int64_t last, const ReadDense& dense) const;
  Tensor double_quantised(const ReadDense& dense) const;
  /// Calls f with pieces of a row whose blocks' magnitudes fit a small buffer.
  template <class F>
  void each_piece(std::int64_t row, std::int64_t begin, std::int64_t n, F f) const;

  const kernel::FourBitBook& book_;
  std::int64_t block_;
  int block_bits_;
  bool double_;
};

}  // namespace herd
