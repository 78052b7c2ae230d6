#include "runtime/nn/rope.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <numbers>

#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// x [b, t, h, e], cos and sin [b, t, dim/2] or [1, t, dim/2].
Tensor rotate_on_cpu(const Tensor& x_given, const RopeTable& table, float direction) {
  const auto x = x_given.stride(-1) == 1 ? x_given : x_given.contiguous();
  const auto b = x.size(0), t = x.size(1), half = table.cos.size(-1);
  const kernel::Heads heads{x.size(2), x.size(3), half, table.interleaved};
  const auto row = heads.count * heads.width;
  const auto cos = table.cos.expand({b, t, half}).contiguous(), sin = table.sin.expand({b, t, half}).contiguous();
  const auto y = at::empty(x.sizes(), x.options());
  with_storage(x, [&](auto type) {
    using S = typename decltype(type)::type;
    parallel_rows(b * t, row, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        kernel::rotate(data_of<S>(x) + i / t * x.stride(0) + i % t * x.stride(1), x.stride(2), data_of<S>(y) + i * row, heads,
                       data_of<float>(cos) + i * half, data_of<float>(sin) + i * half, direction);
    });
  });
  return y;
}

// direction +1 rotates forward, −1 back: the rotation is orthogonal, so its backward is its inverse.
Tensor rotate(const Tensor& x, const RopeTable& table, float direction) {
  if (has_kernel(x) && table.cos.scalar_type() == at::kFloat && x.dim() == 4) return rotate_on_cpu(x, table, direction);
  const auto half = table.cos.size(-1);
  const auto c = table.cos.unsqueeze(2), s = table.sin.unsqueeze(2) * direction;
  const auto wide = x.narrow(-1, 0, 2 * half).to(wide_type(x));
  const auto pairs = table.interleaved ? wide.unflatten(-1, {half, 2}) : wide.unflatten(-1, {2, half}).transpose(-1, -2);
  const auto a = pairs.select(-1, 0), b = pairs.select(-1, 1);
  const auto turned = at::stack({a * c - b * s, b * c + a * s}, table.interleaved ? -1 : -2).flatten(-2).to(x.scalar_type());
  const auto rest = x.size(-1) - 2 * half;
  return rest == 0 ? turned : at::cat({turned, x.narrow(-1, 2 * half, rest)}, -1);
}

struct RopeFunction : Function<RopeFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cos, const Tensor& sin, bool interleaved) {
    ctx->save_for_backward({cos, sin});
    ctx->saved_data["interleaved"] = interleaved;
    return rotate(x, {cos, sin, interleaved}, 1);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {rotate(grads[0], {saved[0], saved[1], ctx->saved_data["interleaved"].toBool()}, -1), Tensor(), Tensor(), Tensor()};
  }
};

// Llama 3.1 (Meta, model card and config): long wavelengths are divided by `factor`, short ones kept, those between interpolated.
double llama3_frequency(double frequency, const RopeOptions& o) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(o.original_max_positions);
  if (wavelength < original / o.high_freq_factor) return frequency;
  if (wavelength > original / o.low_freq_factor) return frequency / o.factor;
  const double smooth = (original / wavelength - o.low_freq_factor) / (o.high_freq_factor - o.low_freq_factor);
  return (1 - smooth) * frequency / o.factor + smooth * frequency;
}

}  // namespace

Tensor rope_frequencies(const RopeOptions& o, std::int64_t length) {
  double theta = o.theta;
  if (o.scaling == RopeOptions::Scaling::kDynamic && length > o.max_positions) {
    // NTK-aware: the base grows with the text, so that the slowest pair still spans it.
    const double stretch = o.factor * static_cast<double>(length) / static_cast<double>(o.max_positions) - (o.factor - 1);
    theta *= std::pow(stretch, static_cast<double>(o.dim) / static_cast<double>(o.dim - 2));
  }
  auto frequencies = at::empty({o.dim / 2}, at::kFloat);
  for (std::int64_t j = 0; j < o.dim / 2; ++j) {
    double f = 1.0 / std::pow(theta, static_cast<double>(2 * j) / static_cast<double>(o.dim));
    if (o.scaling == RopeOptions::Scaling::kLinear) f /= o.factor;
    if (o.scaling == RopeOptions::Scaling::kLlama3) f = llama3_frequency(f, o);
    frequencies.data_ptr<float>()[j] = static_cast<float>(f);
  }
  return frequencies;
}

RopeTable rope_table(const RopeOptions& options, const Batch& batch) {
  const auto positions_bt1 = batch.positions_bt.to(at::kFloat).unsqueeze(-1);
  const auto device = positions_bt1.device();
  const auto angles = positions_bt1 * rope_frequencies(options, options.max_positions).to(device);
  if (options.scaling == RopeOptions::Scaling::kDynamic && !angles.is_meta()) {
    for (const auto& s : batch.segments) {
      if (s.length() == 0) continue;
      const auto length = batch.positions_bt[s.row][s.end - 1].item<std::int64_t>() + 1;
      if (length <= options.max_positions) continue;
      const auto part = [&s](const Tensor& x) { return x.narrow(0, s.row, 1).narrow(1, s.begin, s.length()); };
      part(angles).copy_(part(positions_bt1) * rope_frequencies(options, length).to(device));
    }
  }
  return {at::cos(angles), at::sin(angles), options.interleaved};
}

RopeTable rope_table(const RopeOptions& options, const Tensor& positions_bt) {
  const auto angles = positions_bt.to(at::kFloat).unsqueeze(-1) * rope_frequencies(options, options.max_positions).to(positions_bt.device());
  return {at::cos(angles), at::sin(angles), options.interleaved};
}

Tensor rope(const Tensor& x_bthe, const RopeTable& table) { return RopeFunction::apply(x_bthe, table.cos, table.sin, table.interleaved); }

}  // namespace herd
