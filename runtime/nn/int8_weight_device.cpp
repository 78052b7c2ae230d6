#include <cmath>

#include "runtime/nn/int8_weight.h"

// Int8Weight's product on other devices than the CPU: the same whole numbers, the same scales, in the same order.
namespace herd {
namespace {

constexpr float kOver127Squared = (1.0f / 127) * (1.0f / 127);

// What is not quantised: numbers from the threshold on, and what is no number.
Tensor stays_as_it_is(const Tensor& x, float threshold) { return x.abs().lt(threshold > 0 ? threshold : INFINITY).logical_not(); }

// codes_ni · w_oiᵀ, exactly: int32 by whole numbers where the device multiplies such shapes, else by fp64.
Tensor whole_products(const Tensor& codes_ni, const Tensor& w_oi) {
  constexpr std::int64_t kUnit = 8;
  if (codes_ni.is_cuda() && w_oi.size(0) % kUnit == 0 && w_oi.size(1) % kUnit == 0) return at::_int_mm(codes_ni, w_oi.t());
  return at::mm(codes_ni.to(at::kDouble), w_oi.to(at::kDouble).t()).to(at::kInt);
}

}  // namespace

Int8Weight::DeviceInputs Int8Weight::quantise_on_device(const Tensor& x_ni, std::int64_t rows) const {
  const auto n = x_ni.size(0);
  const auto all = at::empty({rows, in()}, x_ni.options().dtype(at::kChar));
  if (rows > n) all.narrow(0, n, rows - n).zero_();
  DeviceInputs inputs{.codes = all, .absmax_n = at::empty({n}, x_ni.options().dtype(at::kFloat)), .left_out_n = at::empty({n}, x_ni.options().dtype(at::kByte))};
  const auto codes_ni = all.narrow(0, 0, n);
  if (const auto* kernels = device_kernels(x_ni)) {
    kernels->quantise_int8(x_ni, threshold_, codes_ni, inputs.absmax_n, inputs.left_out_n);
    return inputs;
  }
  const auto x = x_ni.to(at::kFloat);
  const auto stays = stays_as_it_is(x, threshold_);
  const auto rest = x.masked_fill(stays, 0);
  at::amax_out(inputs.absmax_n, rest.abs(), 1);
  const auto factor = at::full_like(inputs.absmax_n, 127).div_(inputs.absmax_n).nan_to_num_(0, 0, 0).unsqueeze(1);
  codes_ni.copy_(rest.mul(factor).round_());
  inputs.left_out_n.copy_(stays.any(1));
  return inputs;
}

Tensor Int8Weight::product_on_device(const Tensor& x) const {
  constexpr std::int64_t kLeastRows = 32;      // of a product by whole numbers there
  constexpr std::int64_t kElements = 16 << 20;  // of the products of a tile
  const auto x_ni = x.contiguous();
  const auto n = x_ni.size(0);
  const auto* kernels = device_kernels(x_ni);
  const auto y_no = at::empty({n, out()}, x_ni.options());
  if (kernels && n <= DeviceKernels::kMostRows && in() % DeviceKernels::kUnit == 0) {
    const auto inputs = quantise_on_device(x_ni, n);
    kernels->multiply_int8(on_device(), x_ni, inputs.codes, inputs.absmax_n, inputs.left_out_n, threshold_, y_no);
    return y_no;
  }
  const auto inputs = quantise_on_device(x_ni, std::max(n, kLeastRows));
  // Waits for the device once: nearly always there is nothing, and a second product costs more.
  const auto apart = inputs.left_out_n.any().item<bool>();
  const auto wide = apart ? x_ni.to(at::kFloat) : Tensor();
  const auto left_out_ni = apart ? wide.masked_fill(stays_as_it_is(wide, threshold_).logical_not(), 0) : Tensor();
  const auto rows = std::max<std::int64_t>(16, std::min(kDeviceTile / in(), kElements / n) / 16 * 16);
  for (std::int64_t begin = 0; begin < out(); begin += rows) {
    const auto count = std::min(rows, out() - begin);
    const auto products = whole_products(inputs.codes, codes_as_int8().narrow(0, begin, count));
    const auto rest = apart ? at::mm(left_out_ni, dequantised(begin, begin + count).t()) : Tensor();
    const auto y = y_no.narrow(1, begin, count);
    if (kernels) {
      kernels->scale_int8(on_device(), begin, products, inputs.absmax_n, rest, y);
      continue;
    }
    const auto scale_no = inputs.absmax_n.mul(kOver127Squared).unsqueeze(1) * scales().value.view(at::kFloat).narrow(0, begin, count);
    const auto part = products.narrow(0, 0, n).to(at::kFloat).mul_(scale_no);
    y.copy_(apart ? part + rest : part);
  }
  return y_no;
}

}  // namespace herd
