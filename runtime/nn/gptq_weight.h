#pragma once
#include "runtime/nn/gptq.h"
#include "runtime/nn/gptq_matrix.h"
#include "runtime/nn/quantised_weight.h"

namespace herd {

/// How the parts of a matrix lie: `weight` is rows of bits; `weight.scales` is each column's group (int32), then each row's scales (fp16), then each
/// row's zero points (bytes).
struct GptqLayout {
  std::int64_t out = 0, in = 0, bits = 0, groups = 0;

  std::int64_t row_bytes() const { return in * bits / 8; }
  std::int64_t scales_at() const { return in * 4; }
  std::int64_t zeros_at() const { return scales_at() + out * groups * 2; }
  std::int64_t scale_bytes() const { return zeros_at() + out * groups; }

  /// Rows [begin, end) of something, [rows, groups].
  using Rows = std::function<Tensor(std::int64_t begin, std::int64_t end)>;
  /// Fills `to` (1-d bytes) with the bytes of `weight.scales` from `begin` on, asking for no more rows than they lie in.
  void read_scales(std::int64_t begin, const Tensor& to, const Tensor& g_idx, const Rows& scales, const Rows& zeros) const;
};

/// Whole numbers of 2, 3, 4 or 8 bits in groups of columns, any column in any group: what GPTQ's folders hold. Of a dense matrix it keeps each number's
/// nearest; GPTQ itself needs inputs (gptq_solve.h, herd quantize).
class GptqWeight final : public QuantisedWeight {
 public:
  /// Of a folder. @param dense its shape and name.
  GptqWeight(const Parameter& dense, std::int64_t bits, std::int64_t groups);
  /// Of a dense matrix. @throws ConfigError as gptq_groups().
  GptqWeight(const Parameter& dense, const GptqOptions& options);
  void read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const override;
  Tensor dequantised(std::int64_t begin, std::int64_t end) const override;
  const GptqLayout& layout() const { return layout_; }

 private:
  kernel::GroupedRow row(std::int64_t i) const;
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, float* to) const override;
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const override;
  Tensor few_rows(const Tensor& x_ni) const override;
  GptqMatrix rounded(std::int64_t begin, std::int64_t end, const ReadDense& dense) const;

  GptqLayout layout_;
};

}  // namespace herd
