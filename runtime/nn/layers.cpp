#include "runtime/nn/layers.h"

#include <torch/csrc/autograd/custom_function.h>

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct RmsNormFunction : Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, double eps) {
    const auto wide = x.to(wide_type(x));
    const auto scale = at::rsqrt(wide.square().mean(-1, true) + eps);
    ctx->save_for_backward({x, w, scale});
    return w * (wide * scale).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &w = saved[1], &scale = saved[2];
    const auto normed = x.to(wide_type(x)) * scale;
    const auto g = grads[0].to(wide_type(x));
    Tensor grad_x, grad_w;
    if (ctx->needs_input_grad(0)) {
      const auto gw = g * w.to(wide_type(x));
      grad_x = ((gw - normed * (gw * normed).mean(-1, true)) * scale).to(x.scalar_type());
    }
    if (ctx->needs_input_grad(1)) grad_w = (g * normed).flatten(0, -2).sum(0).to(w.scalar_type());
    return {grad_x, grad_w, Tensor()};
  }
};

struct SiluMulFunction : Function<SiluMulFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
    ctx->save_for_backward({gate, up});
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    return {at::silu_backward(grads[0] * up, gate), at::silu(gate).mul_(grads[0])};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& w, double eps) { return RmsNormFunction::apply(x, w, eps); }
Tensor RmsNorm::operator()(const Tensor& x) { return rms_norm(x, weight.value, eps); }
Tensor silu_mul(const Tensor& gate, const Tensor& up) { return SiluMulFunction::apply(gate, up); }

}  // namespace herd
