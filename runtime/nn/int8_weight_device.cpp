#include <cmath>

#include "runtime/nn/int8_weight.h"

// Int8Weight's product on other devices than the CPU: the same whole numbers, the same scales, in the same order.
namespace herd {
namespace {

constexpr float kOver127Squared = (1.0f / 127) * (1.0f / 127);

// What is not quantised: numbers from the threshold on, and what is no number.
Tensor stays_as_it_is(const Tensor& x, float threshold) { return x.abs().lt(threshold > 0 ? threshold : INFINITY).logical_not(); }

// codes_ni · w_oiᵀ, exactly: in int32 where the device multiplies such shapes, else in fp64. → fp32
Tensor whole_products(const Tensor& codes_ni, const Tensor& w_oi) {
  constexpr std::int64_t kUnit = 8;
  if (codes_ni.is_cuda() && w_oi.size(0) % kUnit == 0 && w_oi.size(1) % kUnit == 0) return at::_int_mm(codes_ni, w_oi.t()).to(at::kFloat);
  return at::mm(codes_ni.to(at::kDouble), w_oi.to(at::kDouble).t()).to(at::kFloat);
}

}  // namespace

Int8Weight::DeviceInputs Int8Weight::quantise_on_device(const Tensor& x_ni) const {
  constexpr std::int64_t kLeastRows = 32;  // of a product in int32 there; those added are zeros
  const auto n = x_ni.size(0), rows = std::max(n, kLeastRows);
  auto codes = at::empty({rows, in()}, x_ni.options().dtype(at::kChar));
  codes.narrow(0, n, rows - n).zero_();
  DeviceInputs inputs{.codes = codes, .absmax_n = at::empty({n}, x_ni.options().dtype(at::kFloat)), .left_out_n = at::empty({n}, x_ni.options().dtype(at::kByte))};
  if (const auto* kernels = device_kernels(x_ni)) {
    kernels->quantise_int8(x_ni, threshold_, codes.narrow(0, 0, n), inputs.absmax_n, inputs.left_out_n);
    return inputs;
  }
  const auto x = x_ni.to(at::kFloat);
  const auto stays = stays_as_it_is(x, threshold_);
  const auto rest = x.masked_fill(stays, 0);
  at::amax_out(inputs.absmax_n, rest.abs(), 1);
  const auto factor = at::full_like(inputs.absmax_n, 127).div_(inputs.absmax_n).nan_to_num_(0, 0, 0).unsqueeze(1);
  codes.narrow(0, 0, n).copy_(rest.mul(factor).round_());
  inputs.left_out_n.copy_(stays.any(1));
  return inputs;
}

Tensor Int8Weight::product_on_device(const Tensor& x) const {
  constexpr std::int64_t kElements = 8 << 20;  // of the products of a tile
  const auto x_ni = x.contiguous();
  const auto n = x_ni.size(0);
  const auto inputs = quantise_on_device(x_ni);
  auto y_no = at::empty({n, out()}, x_ni.options());
  if (const auto* kernels = device_kernels(x_ni); kernels && n <= DeviceKernels::kMostRows && in() % DeviceKernels::kUnit == 0) {
    kernels->multiply_int8(on_device(), x_ni, inputs.codes, inputs.absmax_n, inputs.left_out_n, threshold_, y_no);
    return y_no;
  }
  // Waits for the device once: nearly always there is nothing, and a second product costs more.
  const auto apart = inputs.left_out_n.any().item<bool>();
  const auto left_out_ni = apart ? x_ni.to(at::kFloat).masked_fill(stays_as_it_is(x_ni.to(at::kFloat), threshold_).logical_not(), 0) : Tensor();
  const auto scale_n1 = inputs.absmax_n.mul(kOver127Squared).unsqueeze(1);
  const auto absmax_o = scales().value.view(at::kFloat);
  const auto rows = std::max<std::int64_t>(16, std::min(device_tile_rows(), kElements / n) / 16 * 16);
  for (std::int64_t begin = 0; begin < out(); begin += rows) {
    const auto count = std::min(rows, out() - begin);
    auto part = whole_products(inputs.codes, codes_as_int8().narrow(0, begin, count)).narrow(0, 0, n);
    part.mul_(scale_n1 * absmax_o.narrow(0, begin, count));
    if (apart) part.add_(at::mm(left_out_ni, dequantised(begin, begin + count).t()));
    y_no.narrow(1, begin, count).copy_(part);
  }
  return y_no;
}

}  // namespace herd
