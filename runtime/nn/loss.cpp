#include "runtime/nn/loss.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "runtime/nn/autograd.h"
#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// One pass over each row while it is in the cache.
Tensor losses_on_cpu(const Tensor& logits_nv, const Tensor& targets_n, double scale) {
  const auto n = logits_nv.size(0), vocab = logits_nv.size(1);
  const auto losses = at::zeros({n}, at::kDouble);
  with_storage(logits_nv, [&](auto type) {
    using S = typename decltype(type)::type;
    parallel_rows(n, vocab, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        data_of<double>(losses)[i] = kernel::cross_entropy(data_of<S>(logits_nv) + i * vocab, vocab, data_of<std::int64_t>(targets_n)[i],
                                                           static_cast<float>(scale));
    });
  });
  return losses;
}

// Σ (logsumexp − logit of the target). The logits' own memory becomes the gradient, scale · (softmax − onehot): no second matrix. Nobody reads
// logits any more then: the backward of a matrix product and of an addition needs their inputs alone.
struct CrossEntropySum : Function<CrossEntropySum> {
  static Tensor forward(AutogradContext* ctx, const Tensor& logits, const Tensor& targets, double scale) {
    const bool learns = logits.requires_grad();
    if (has_kernel(logits) && logits.is_contiguous()) {
      const auto loss = losses_on_cpu(logits, targets, learns ? scale : 0).sum();
      if (learns) ctx->save_for_backward({logits.detach()});
      return loss;
    }
    const auto wide = logits.to(wide_type(logits));
    auto log_p = at::log_softmax(wide, -1);
    const auto column = targets.unsqueeze(1);
    const auto loss = -log_p.gather(1, column).sum(at::kDouble);
    if (learns) {
      auto grad = log_p.exp_();
      grad.scatter_add_(1, column, at::full_like(column, -1, grad.options()));
      // A scalar factor keeps its own precision here; turned into bf16 first, it would bend every gradient by up to 0.4 %.
      ctx->save_for_backward({grad.mul_(scale).to(logits.scalar_type())});
    }
    return loss;
  }
  // The seed is 1: `scale` is in the gradient.
  static variable_list backward(AutogradContext* ctx, variable_list) { return {ctx->get_saved_variables()[0], Tensor(), Tensor()}; }
};

// index_select does not know the meta device.
Tensor take_rows(const Tensor& x_nd, const Tensor& index_k) {
  return x_nd.is_meta() ? at::empty({index_k.size(0), x_nd.size(1)}, x_nd.options()) : x_nd.index_select(0, index_k);
}

}  // namespace

LossResult chunked_loss(const Tensor& hidden_btd, const Tensor& labels_bt, const std::function<Tensor(const Tensor&)>& logits_of,
                        std::int64_t vocab, double scale, bool with_gradient, std::int64_t chunk_elements) {
  const auto t = labels_bt.size(1), d = hidden_btd.size(2);
  // The label at i is predicted from i − 1.
  const auto targets = labels_bt.narrow(1, 1, t - 1).reshape(-1);
  const auto kept = targets.ne(kIgnoreLabel).nonzero().squeeze(1);
  LossResult result;
  result.tokens = kept.size(0);
  if (with_gradient) result.grad_hidden = at::zeros(hidden_btd.sizes(), hidden_btd.options());
  if (result.tokens == 0) return result;

  const auto rows = at::floor_divide(kept, t - 1) * t + at::remainder(kept, t - 1);
  const auto flat = hidden_btd.reshape({-1, d});
  const auto chunk = std::max<std::int64_t>(1, chunk_elements / vocab);
  at::AutoGradMode grad_mode(with_gradient);
  Tensor sum;  // stays where it is until the last chunk: a device is waited for once
  for (std::int64_t begin = 0; begin < result.tokens; begin += chunk) {
    const auto n = std::min(chunk, result.tokens - begin);
    const auto index = rows.narrow(0, begin, n);
    auto x = take_rows(flat, index).detach();
    x.set_requires_grad(with_gradient);
    const auto loss = CrossEntropySum::apply(logits_of(x), targets.index_select(0, kept.narrow(0, begin, n)), scale);
    sum = sum.defined() ? sum + loss.detach() : loss.detach();
    if (!with_gradient) continue;
    backward(loss, at::ones({}, loss.options()));
    if (!x.is_meta()) result.grad_hidden.view({-1, d}).index_copy_(0, index, x.grad());
  }
  result.sum = sum.item<double>();
  return result;
}

}  // namespace herd
