#include "parallel/pass.h"

#include <algorithm>

#include "runtime/nn/autograd.h"

namespace herd {
namespace {

template <class VisitUnit>
std::vector<Parameter*> collect(const VisitUnit& visit_unit) {
  struct Each final : Visitor {
    void on_parameter(const std::string&, Parameter& p) override { found.push_back(&p); }
    std::vector<Parameter*> found;
  } each;
  visit_unit(each);
  return each.found;
}

bool any_trainable(const std::vector<Parameter*>& parameters) {
  return std::any_of(parameters.begin(), parameters.end(), [](const Parameter* p) { return p->trainable; });
}

std::function<Tensor(const Tensor&)> head_of(CausalLm& model) {
  return [&model](const Tensor& hidden_nd) { return model.head()(model.final_norm(hidden_nd)); };
}

}  // namespace

std::size_t unit_count(const CausalLm& model) { return model.blocks.size() + 2; }

std::vector<Parameter*> unit_parameters(CausalLm& model, Unit unit) {
  const auto n = model.blocks.size();
  if (unit == 0) return collect([&](Visitor& v) { model.visit_head(v); });
  if (unit == n + 1) return collect([&](Visitor& v) { model.visit_embedding(v); });
  return collect([&](Visitor& v) { model.blocks[n - unit]->visit(v); });
}

LossResult Pass::forward_backward(const Batch& batch, double scale) {
  const auto n = model.blocks.size();
  const auto done = [&](Unit unit) {
    if (unit_done) unit_done(unit);
  };
  // A block's input needs a gradient where something before it learns.
  std::vector<bool> input_learns(n + 1), learns(n + 1);
  input_learns[0] = any_trainable(unit_parameters(model, n + 1));
  for (std::size_t i = 0; i < n; ++i) input_learns[i + 1] = input_learns[i] || any_trainable(unit_parameters(model, n - i));

  auto ctx = model.context(batch);
  Tensor embedded;
  {
    at::AutoGradMode mode(input_learns[0]);
    embedded = model.embed(batch.tokens_bt);
  }
  std::vector<Tensor> inputs(n), outputs(n);
  auto x = embedded.detach();
  for (std::size_t i = 0; i < n; ++i) {
    ctx.layer = static_cast<std::int64_t>(i);
    at::AutoGradMode mode(input_learns[i + 1] && !recompute);
    inputs[i] = x.detach();
    inputs[i].set_requires_grad(input_learns[i]);
    outputs[i] = model.blocks[i]->forward(inputs[i], ctx);
    x = outputs[i].detach();
    if (recompute || !input_learns[i + 1]) outputs[i].reset();
    if (!input_learns[i + 1]) inputs[i].reset();
  }

  auto loss = chunked_loss(x, batch.labels_bt, head_of(model), model.facts.vocab_size, scale, true);
  done(0);
  x.reset();
  auto grad = std::move(loss.grad_hidden);
  for (std::size_t i = n; i-- > 0; done(n - i)) {
    if (!input_learns[i + 1] || loss.tokens == 0) continue;
    ctx.layer = static_cast<std::int64_t>(i);
    if (recompute) outputs[i] = model.blocks[i]->forward(inputs[i], ctx);
    backward(outputs[i], grad);
    grad = inputs[i].grad();
    outputs[i].reset();
    inputs[i].reset();
  }
  if (input_learns[0] && loss.tokens > 0) backward(embedded, grad);
  done(n + 1);
  return loss;
}

LossResult forward_loss(CausalLm& model, const Batch& batch) {
  at::NoGradGuard no_grad;
  return chunked_loss(model.hidden(batch), batch.labels_bt, head_of(model), model.facts.vocab_size, 0, false);
}

}  // namespace herd
