#include "runtime/nn/matmul.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "runtime/nn/few_rows.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Below this many rows a product is bound by reading the weight, and setting oneDNN up costs more than it gains.
constexpr std::int64_t kFewRows = 16;

// oneDNN's fp32 product runs at two to three times the speed of the default one on x86 hosts that are not Intel's, and at the same on those that
// are. bf16 takes it by default. It has no autograd: a frozen weight needs none.
bool fits_one_dnn(const Tensor& x, const Tensor& w) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && w.scalar_type() == at::kFloat && x.numel() >= kFewRows * x.size(-1) &&
         at::globalContext().userEnabledMkldnn() && at::hasMKLDNN();
}

Tensor one_dnn_linear(const Tensor& x, const Tensor& w) {
  using Signature = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, c10::string_view,
                           c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(x, w, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

struct FrozenProduct : Function<FrozenProduct> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w) {
    ctx->save_for_backward({w});
    return one_dnn_linear(x, w);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {frozen_input_gradient(grads[0], ctx->get_saved_variables()[0]), Tensor()};
  }
};

thread_local int few_rows_scopes = 0;

// A few rows of numbers that nobody asks gradients of: the weight is read once, at the memory's pace.
bool fits_few_rows(const Tensor& x, const Tensor& w) {
  return few_rows_scopes > 0 && x.is_cpu() && x.numel() <= kFewRows * x.size(-1) && x.numel() > 0 && w.is_contiguous() && x.scalar_type() == w.scalar_type() &&
         (w.scalar_type() == at::kFloat || w.scalar_type() == at::kBFloat16) && !(at::GradMode::is_enabled() && (x.requires_grad() || w.requires_grad()));
}

Tensor few_rows(const Tensor& x, const Tensor& w) {
  const auto in = w.size(1), out = w.size(0), rows = x.numel() / in;
  auto sizes = x.sizes().vec();
  sizes.back() = out;
  auto y = at::empty(sizes, x.options());
  const auto numbers = x.contiguous();
  constexpr std::int64_t kWork = 1 << 15;  // numbers of the weight that are worth a thread
  at::parallel_for(0, (out + 3) / 4, std::max<std::int64_t>(1, kWork / (4 * in)), [&](std::int64_t first, std::int64_t last) {
    const auto run = [&]<class S>(S*) {
      kernel::few_rows(static_cast<const S*>(numbers.const_data_ptr()), static_cast<const S*>(w.const_data_ptr()), static_cast<S*>(y.mutable_data_ptr()), rows, in, out, 4 * first, std::min(4 * last, out));
    };
    if (w.scalar_type() == at::kFloat) run(static_cast<float*>(nullptr));
    else run(static_cast<kernel::Bf16*>(nullptr));
  });
  return y;
}

}  // namespace

FewRowsScope::FewRowsScope() { ++few_rows_scopes; }
FewRowsScope::~FewRowsScope() { --few_rows_scopes; }

Tensor matmul_transposed(const Tensor& x, const Tensor& w) {
  if (fits_few_rows(x, w)) return few_rows(x, w);
  return w.requires_grad() || !fits_one_dnn(x, w) ? at::linear(x, w) : FrozenProduct::apply(x, w);
}

Tensor frozen_input_gradient(const Tensor& grad, const Tensor& w) {
  const auto frozen = w.detach();
  return fits_one_dnn(grad, frozen) ? one_dnn_linear(grad, frozen.t()) : at::matmul(grad, frozen);
}

}  // namespace herd
