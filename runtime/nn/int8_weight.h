#pragma once
#include "runtime/nn/device_kernels.h"
#include "runtime/nn/quantised_weight.h"

namespace herd {

/// Whole numbers of eight bits with a scale a row, multiplied with inputs that are quantised alike, a scale a token (Dettmers et al. 2022,
/// "LLM.int8()"). Numbers of an input from `threshold` on stay as they are and meet the dequantised weight. Here that is decided for each token
/// by itself, where the paper takes a column out for all tokens of a batch: a token's answer does not depend on what is beside it.
class Int8Weight final : public QuantisedWeight {
 public:
  /// @param threshold 0: nothing stays as it is.
  Int8Weight(const Parameter& dense, double threshold);
  void read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const override;
  Tensor dequantised(std::int64_t begin, std::int64_t end) const override;
  Tensor product_on_device(const Tensor& x_ni) const override;
  double input_rounding() const override;

 private:
  struct Inputs;
  Tensor codes_as_int8() const { return codes().value.view(at::kChar); }
  const std::int8_t* row(std::int64_t i) const { return reinterpret_cast<const std::int8_t*>(code_bytes()) + i * in(); }
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, float* to) const override;
  void dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const override;
  Tensor few_rows(const Tensor& x_ni) const override;
  Tensor many_rows(const Tensor& x_ni) const override;
  bool fill_by_kernel(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const override;
  DeviceInt8 on_device() const { return {.in = in(), .codes = row(0), .absmax = scale_floats()}; }
  /// Quantised inputs there: codes [rows ≥ n, in], the rest zeros, and of each row its greatest quantised magnitude and whether anything was left out.
  struct DeviceInputs {
    Tensor codes, absmax_n, left_out_n;
  };
  DeviceInputs quantise_on_device(const Tensor& x_ni, std::int64_t rows) const;

  Inputs quantise_inputs(const Tensor& x_ni) const;
  Tensor left_out(const Inputs& inputs, std::int64_t begin, std::int64_t end) const;

  float threshold_;
};

}  // namespace herd
