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

PassListener& nobody() {
  static PassListener listener;
  return listener;
}

}  // namespace

std::size_t unit_count(const CausalLm& model) { return model.blocks.size() + (model.side ? 3 : 2); }

std::vector<Parameter*> unit_parameters(CausalLm& model, Unit unit) {
  const auto n = model.blocks.size();
  if (unit == 0) return collect([&](Visitor& v) { model.visit_head(v); });
  if (unit == n + 1) return collect([&](Visitor& v) { model.visit_embedding(v); });
  if (unit == n + 2) return collect([&](Visitor& v) { model.side->visit(v); });
  return collect([&](Visitor& v) { model.blocks[n - unit]->visit(v); });
}

std::vector<Unit> units_read_by(const CausalLm& model, Unit unit) {
  if (unit == 0 && model.facts.tied) return {0, model.blocks.size() + 1};
  return {unit};
}

Pass::Pass(CausalLm& model, std::int64_t recompute_every, PassListener* listener)
    : model_(model), recompute_every_(recompute_every), listener_(listener ? listener : &nobody()), input_learns_(blocks() + 1),
      inputs_(blocks()), outputs_(blocks()) {
  side_learns_ = model.side && any_trainable(unit_parameters(model, producer()));
  const bool every_block_learns = side_learns_ && model.has_prefix();
  input_learns_[0] = any_trainable(unit_parameters(model, embedding())) || (side_learns_ && model.has_virtual_tokens());
  for (std::size_t i = 0; i < blocks(); ++i)
    input_learns_[i + 1] = input_learns_[i] || every_block_learns || any_trainable(unit_parameters(model, unit_of(i)));
  // A lone table's gradient is a scatter by the ids: it does not read the table.
  embedding_backward_reads_ = input_learns_[0] && unit_parameters(model, embedding()).size() > 1;
}

bool Pass::recomputes(std::size_t block) const {
  return recompute_every_ > 0 && static_cast<std::int64_t>(block) % recompute_every_ == 0;
}

std::vector<Unit> Pass::evaluation_walk() const {
  std::vector<Unit> walk;
  for (auto unit = unit_count(model_); unit-- > 0;) walk.push_back(unit);
  return walk;
}

std::vector<Unit> Pass::training_walk() const {
  auto walk = evaluation_walk();
  for (auto i = blocks(); i-- > 0;)
    if (input_learns_[i + 1]) walk.push_back(unit_of(i));
  if (embedding_backward_reads_) walk.push_back(embedding());
  if (side_learns_) walk.push_back(producer());
  return walk;
}

LossResult Pass::head_loss(const Tensor& hidden_btd, const Batch& batch, double scale, bool training) {
  const auto logits = [this](const Tensor& hidden_nd) { return model_.head()(model_.final_norm(hidden_nd)); };
  return chunked_loss(hidden_btd, batch.labels_bt, logits, model_.facts.vocab_size, scale, training);
}

Tensor Pass::begin(const Batch& batch, bool computes, bool training, KvCache* cache) {
  if (model_.side) {
    listener_->enter(producer(), Phase::kForward);
    if (computes && (!cache || cache->empty())) leaves_ = model_.side_leaves(training && side_learns_);
    listener_->leave(producer(), Phase::kForward);
  }
  if (computes) {
    seen_ = model_.beside(batch, !cache || cache->empty());
    context_ = model_.context_beside(seen_, leaves_, cache);
  }
  Tensor embedded;
  listener_->enter(embedding(), Phase::kForward);
  {
    at::AutoGradMode mode(training && input_learns_[0]);
    if (computes) embedded = model_.embed(batch, seen_, leaves_);
  }
  listener_->leave(embedding(), Phase::kForward);
  return embedded;
}

LossResult Pass::forward_backward(const Batch& batch, double scale) {
  const bool computes = batch.rows() > 0;
  const auto embedded = begin(batch, computes, true);
  Tensor x;
  if (computes) x = embedded.detach();
  for (std::size_t i = 0; i < blocks(); ++i) {
    listener_->enter(unit_of(i), Phase::kForward);
    if (computes) {
      const bool keeps = input_learns_[i + 1], keeps_graph = keeps && !recomputes(i);
      context_.layer = static_cast<std::int64_t>(i);
      at::AutoGradMode mode(keeps_graph);
      inputs_[i] = x.detach();
      inputs_[i].set_requires_grad(input_learns_[i]);
      outputs_[i] = model_.blocks[i]->forward(inputs_[i], context_);
      x = outputs_[i].detach();
      if (!keeps_graph) outputs_[i].reset();
      if (!keeps) inputs_[i].reset();
    }
    listener_->leave(unit_of(i), Phase::kForward);
  }

  LossResult loss;
  listener_->enter(0, Phase::kForward);
  if (computes) loss = head_loss(x, seen_, scale, true);
  listener_->leave(0, Phase::kBackward);
  x.reset();
  auto grad = std::move(loss.grad_hidden);
  for (std::size_t i = blocks(); i-- > 0;) backward_of_block(i, grad, loss.tokens > 0);

  if (embedding_backward_reads_) listener_->enter(embedding(), Phase::kBackward);
  if (input_learns_[0] && loss.tokens > 0) backward(embedded, grad);
  listener_->leave(embedding(), Phase::kBackward);
  if (model_.side) {
    if (side_learns_) listener_->enter(producer(), Phase::kBackward);
    if (side_learns_ && computes) leaves_.backward();
    listener_->leave(producer(), Phase::kBackward);
  }
  end();
  return loss;
}

void Pass::backward_of_block(std::size_t i, Tensor& grad, bool computes) {
  if (input_learns_[i + 1]) {
    listener_->enter(unit_of(i), Phase::kBackward);
    if (computes) {
      context_.layer = static_cast<std::int64_t>(i);
      if (recomputes(i)) outputs_[i] = model_.blocks[i]->forward(inputs_[i], context_);
      backward(outputs_[i], grad);
      grad = inputs_[i].grad();
    }
    outputs_[i].reset();
    inputs_[i].reset();
  }
  listener_->leave(unit_of(i), Phase::kBackward);
}

// What leaves the last block, of all that the blocks see; undefined without rows.
Tensor Pass::forward_blocks(const Batch& batch, KvCache* cache) {
  const bool computes = batch.rows() > 0;
  auto x = begin(batch, computes, false, cache);
  for (std::size_t i = 0; i < blocks(); ++i) {
    listener_->enter(unit_of(i), Phase::kForward);
    context_.layer = static_cast<std::int64_t>(i);
    if (computes) x = model_.blocks[i]->forward(x, context_);
    listener_->leave(unit_of(i), Phase::kForward);
  }
  return x;
}

Tensor Pass::next_logits(const Batch& batch, KvCache& cache) {
  at::NoGradGuard no_grad;
  const auto x_btd = forward_blocks(batch, &cache);
  Tensor logits_bv;
  listener_->enter(0, Phase::kForward);
  if (batch.rows() > 0) logits_bv = model_.last_logits(x_btd);
  listener_->leave(0, Phase::kForward);
  end();
  return logits_bv;
}

LossResult Pass::forward_loss(const Batch& batch) {
  at::NoGradGuard no_grad;
  const bool computes = batch.rows() > 0;
  const auto x = forward_blocks(batch);
  LossResult loss;
  listener_->enter(0, Phase::kForward);
  if (computes) loss = head_loss(x, seen_, 0, false);
  listener_->leave(0, Phase::kForward);
  end();
  return loss;
}

void Pass::end() { leaves_ = {}, seen_ = {}, context_ = {}; }

LossResult forward_loss(CausalLm& model, const Batch& batch) { return Pass(model).forward_loss(batch); }

}  // namespace herd
