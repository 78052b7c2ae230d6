#include "runtime/nn/layers.h"

#include <torch/csrc/autograd/custom_function.h>

#include "runtime/base/error.h"
#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

bool fits_norm_kernel(const Tensor& x, const Tensor& w) {
  return has_kernel(x) && w.scalar_type() == x.scalar_type() && w.is_contiguous() && x.numel() > 0;
}

// Parts of a fixed number of rows, added in order: the same bits on any number of threads.
Tensor norm_weight_gradient(const Tensor& x, const Tensor& scale, const Tensor& g) {
  constexpr std::int64_t kRows = 64;
  const auto d = x.size(-1), rows = x.numel() / d, parts = (rows + kRows - 1) / kRows;
  const auto sums = at::zeros({parts, d}, x.options().dtype(at::kFloat));
  with_storage(x, [&](auto type) {
    using S = typename decltype(type)::type;
    parallel_rows(parts, kRows * d, [&](std::int64_t begin, std::int64_t end) {
      for (auto part = begin; part < end; ++part) {
        const auto row = part * kRows;
        kernel::rms_norm_weight_gradient(data_of<S>(x) + row * d, data_of<float>(scale) + row, data_of<S>(g) + row * d,
                                         data_of<float>(sums) + part * d, std::min(kRows, rows - row), d);
      }
    });
  });
  return sums.sum(0);
}

struct RmsNormFunction : Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_given, const Tensor& w, double eps) {
    if (!fits_norm_kernel(x_given, w)) return forward_by_operations(ctx, x_given, w, eps);
    const auto x = x_given.contiguous();
    const auto d = x.size(-1);
    const auto y = at::empty_like(x), scale = at::empty({x.numel() / d}, x.options().dtype(at::kFloat));
    with_storage(x, [&](auto type) {
      using S = typename decltype(type)::type;
      parallel_rows(x.numel() / d, d, [&](std::int64_t begin, std::int64_t end) {
        kernel::rms_norm(data_of<S>(x) + begin * d, data_of<S>(w), data_of<S>(y) + begin * d, data_of<float>(scale) + begin, end - begin, d,
                         static_cast<float>(eps));
      });
    });
    ctx->save_for_backward({x, w, scale});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &w = saved[1], &scale = saved[2];
    if (!fits_norm_kernel(x, w)) return backward_by_operations(ctx, x, w, scale, grads[0]);
    const auto g = grads[0].contiguous();
    const auto d = x.size(-1);
    Tensor grad_x, grad_w;
    if (ctx->needs_input_grad(0)) {
      grad_x = at::empty_like(x);
      with_storage(x, [&](auto type) {
        using S = typename decltype(type)::type;
        parallel_rows(x.numel() / d, d, [&](std::int64_t begin, std::int64_t end) {
          kernel::rms_norm_backward(data_of<S>(x) + begin * d, data_of<S>(w), data_of<float>(scale) + begin, data_of<S>(g) + begin * d,
                                    data_of<S>(grad_x) + begin * d, end - begin, d);
        });
      });
    }
    if (ctx->needs_input_grad(1)) grad_w = norm_weight_gradient(x, scale, g).to(w.scalar_type());
    return {grad_x, grad_w, Tensor()};
  }

  static Tensor forward_by_operations(AutogradContext* ctx, const Tensor& x, const Tensor& w, double eps) {
    const auto wide = x.to(wide_type(x));
    const auto scale = at::rsqrt(wide.square().mean(-1, true) + eps);
    ctx->save_for_backward({x, w, scale});
    return w * (wide * scale).to(x.scalar_type());
  }

  static variable_list backward_by_operations(AutogradContext* ctx, const Tensor& x, const Tensor& w, const Tensor& scale, const Tensor& grad) {
    const auto normed = x.to(wide_type(x)) * scale;
    const auto g = grad.to(wide_type(x));
    Tensor grad_x, grad_w;
    if (ctx->needs_input_grad(0)) {
      const auto gw = g * w.to(wide_type(x));
      grad_x = ((gw - normed * (gw * normed).mean(-1, true)) * scale).to(x.scalar_type());
    }
    if (ctx->needs_input_grad(1)) grad_w = (g * normed).flatten(0, -2).sum(0).to(w.scalar_type());
    return {grad_x, grad_w, Tensor()};
  }
};

bool fits_silu_kernel(const Tensor& gate, const Tensor& up) {
  return has_kernel(gate) && gate.scalar_type() == up.scalar_type() && gate.is_contiguous() && up.is_contiguous() && gate.sizes() == up.sizes();
}

struct SiluMulFunction : Function<SiluMulFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
    ctx->save_for_backward({gate, up});
    if (!fits_silu_kernel(gate, up)) return at::silu(gate).mul_(up);
    const auto y = at::empty_like(gate);
    with_storage(gate, [&](auto type) {
      using S = typename decltype(type)::type;
      parallel_rows(gate.numel(), 1, [&](std::int64_t begin, std::int64_t end) {
        kernel::silu_mul(data_of<S>(gate) + begin, data_of<S>(up) + begin, data_of<S>(y) + begin, end - begin);
      });
    });
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    if (!fits_silu_kernel(gate, up)) return {at::silu_backward(grads[0] * up, gate), at::silu(gate).mul_(grads[0])};
    const auto g = grads[0].contiguous();
    const auto grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
    with_storage(gate, [&](auto type) {
      using S = typename decltype(type)::type;
      parallel_rows(gate.numel(), 1, [&](std::int64_t begin, std::int64_t end) {
        kernel::silu_mul_backward(data_of<S>(gate) + begin, data_of<S>(up) + begin, data_of<S>(g) + begin, data_of<S>(grad_gate) + begin,
                                  data_of<S>(grad_up) + begin, end - begin);
      });
    });
    return {grad_gate, grad_up};
  }
};

// libtorch's own answer is a crash's: on the CPU without a word of which id, on a GPU the end of its context.
void check_ids(const Tensor& ids, const Parameter& table) {
  if (ids.numel() == 0) return;
  const auto [least, greatest] = at::aminmax(ids);
  const auto ends = at::stack({least, greatest}).cpu();
  const auto rows = table.value.size(0), low = ends[0].item<std::int64_t>(), high = ends[1].item<std::int64_t>();
  if (low >= 0 && high < rows) return;
  const bool tokens = table.axes.front() == "vocab";
  throw DataError({.who = table.name.empty() ? "embedding" : table.name,
                   .found = (tokens ? "token " : "position ") + std::to_string(low < 0 ? low : high),
                   .expected = "0 to " + std::to_string(rows - 1) + ", one of its rows",
                   .remedy = tokens ? "take the tokenizer of the model's own folder" : "shorten the texts to the model's context"});
}

// libtorch's embedding does not know the meta device.
struct MetaEmbedding : Function<MetaEmbedding> {
  static Tensor forward(AutogradContext* ctx, const Tensor& w, const Tensor& tokens) {
    ctx->saved_data["rows"] = w.size(0);
    auto sizes = tokens.sizes().vec();
    sizes.push_back(w.size(1));
    return at::empty(sizes, w.options().requires_grad(false));
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {at::empty({ctx->saved_data["rows"].toInt(), grads[0].size(-1)}, grads[0].options()), Tensor()};
  }
};

// Nor its layer_norm: what that keeps and makes.
struct MetaLayerNorm : Function<MetaLayerNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, const Tensor& b) {
    const auto rows = at::empty({x.numel() / x.size(-1)}, x.options().requires_grad(false).dtype(at::kFloat));
    ctx->save_for_backward({x, w, b, rows, at::empty_like(rows)});  // means, and one over the deviations
    return at::empty(x.sizes(), x.options().requires_grad(false));
  }
  static variable_list backward(AutogradContext* ctx, variable_list) {
    const auto saved = ctx->get_saved_variables();
    const auto like = [&](std::size_t i) { return at::empty(saved[i].sizes(), saved[i].options().requires_grad(false)); };
    return {like(0), like(1), like(2)};
  }
};

}  // namespace

Tensor Embedding::operator()(const Tensor& ids_bt) {
  if (weight.value.is_meta()) return MetaEmbedding::apply(weight.value, ids_bt);
  check_ids(ids_bt, weight);
  return at::embedding(weight.value, ids_bt);
}
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps) { return RmsNormFunction::apply(x, w, eps); }
Tensor RmsNorm::operator()(const Tensor& x) { return rms_norm(x, weight.value, eps); }
Tensor LayerNorm::operator()(const Tensor& x) {
  return x.is_meta() ? MetaLayerNorm::apply(x, weight.value, bias.value) : at::layer_norm(x, {x.size(-1)}, weight.value, bias.value, eps);
}
Tensor silu_mul(const Tensor& gate, const Tensor& up) { return SiluMulFunction::apply(gate, up); }
Tensor gelu_tanh(const Tensor& x) { return at::gelu(x, "tanh"); }

}  // namespace herd
