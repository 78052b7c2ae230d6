#include "peft/low_rank.h"

#include <torch/csrc/autograd/custom_function.h>

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

Tensor rows_of(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }

Tensor masked(const Tensor& x, const Tensor& kept, double scale) { return kept.defined() ? (x * kept).mul_(scale) : x; }

// n rows, i in, o out, r rank
struct LowRankFunction : Function<LowRankFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& a_ri, const Tensor& b_or,
                        const std::optional<Tensor>& kept_given, double scale, double s, WeightStorage* base) {
    const auto kept = kept_given.value_or(Tensor());
    auto y = base->multiply(x);
    const auto h_nr = at::mm(rows_of(masked(x, kept, scale)), a_ri.to(x.scalar_type()).t());
    y.view({-1, y.size(-1)}).addmm_(h_nr, b_or.to(x.scalar_type()).t(), 1, s);
    ctx->save_for_backward({x, a_ri, b_or, kept, h_nr});
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["s"] = s;
    ctx->saved_data["base"] = reinterpret_cast<std::int64_t>(base);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &a_ri = saved[1], &b_or = saved[2], &kept = saved[3], &h_nr = saved[4];
    const auto scale = ctx->saved_data["scale"].toDouble(), s = ctx->saved_data["s"].toDouble();
    auto* base = reinterpret_cast<WeightStorage*>(ctx->saved_data["base"].toInt());
    const auto g_no = rows_of(grads[0]);
    const auto gh_nr = at::mm(g_no, b_or.to(x.scalar_type())).mul_(s);

    Tensor grad_x, grad_a, grad_b;
    if (ctx->needs_input_grad(0)) {
      grad_x = base->input_gradient(grads[0]);
      const auto a = a_ri.to(x.scalar_type());
      if (kept.defined()) grad_x.add_(masked(at::mm(gh_nr, a).view(x.sizes()), kept, scale));
      else grad_x.view({-1, x.size(-1)}).addmm_(gh_nr, a);
    }
    if (ctx->needs_input_grad(1)) grad_a = at::mm(gh_nr.t(), rows_of(masked(x, kept, scale))).to(a_ri.scalar_type());
    if (ctx->needs_input_grad(2)) grad_b = at::mm(h_nr.t(), g_no).mul_(s).t().contiguous().to(b_or.scalar_type());  // twice as fast as gᵀ·h
    return {grad_x, grad_a, grad_b, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor low_rank_linear(WeightStorage& base, const Tensor& x, const Tensor& a, const Tensor& b, double s,
                       const std::optional<InputMask>& mask) {
  return LowRankFunction::apply(x, a, b, mask ? std::optional(mask->kept) : std::nullopt, mask ? mask->scale : 1.0, s, &base);
}

}  // namespace herd
