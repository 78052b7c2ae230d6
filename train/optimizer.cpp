#include "train/optimizer.h"

namespace herd {

namespace {

at::ScalarType wide(const Tensor& value) { return value.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace

AdamW::AdamW(std::span<Slice> slices, const TrainOptions& options) : slices_(slices), options_(options) {
  groups_ = {{options.weight_decay, {}}, {0.0, {}}};
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto& value = slices[i].value;
    values_.push_back(value.to(wide(value)));  // the same memory where it is fp32 already
    exp_avg_.push_back(at::zeros_like(values_.back()));
    exp_avg_sq_.push_back(at::zeros_like(values_.back()));
    groups_[slices[i].parameter->value.dim() < 2 ? 1 : 0].members.push_back(i);
  }
}

void AdamW::step(double learning_rate) {
  at::NoGradGuard no_grad;
  ++steps_;
  for (const auto& group : groups_) {
    if (group.members.empty()) continue;
    std::vector<Tensor> values, grads, exp_avg, exp_avg_sq, steps;
    for (const auto i : group.members) {
      if (slices_[i].begin == slices_[i].end) continue;
      values.push_back(values_[i]);
      grads.push_back(slices_[i].grad);
      exp_avg.push_back(exp_avg_[i]);
      exp_avg_sq.push_back(exp_avg_sq_[i]);
      steps.push_back(at::scalar_tensor(static_cast<double>(steps_), values_[i].options()));
    }
    at::_fused_adamw_(values, grads, exp_avg, exp_avg_sq, {}, steps, learning_rate, options_.beta1, options_.beta2, group.weight_decay,
                      options_.epsilon, false, false);
  }
  round_masters();
}

void AdamW::for_each_state(const std::function<void(const Slice&, const std::string&, Tensor&)>& f) {
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    f(slices_[i], "value", values_[i]);
    f(slices_[i], "exp_avg", exp_avg_[i]);
    f(slices_[i], "exp_avg_sq", exp_avg_sq_[i]);
  }
}

void AdamW::restored(std::int64_t steps) {
  at::NoGradGuard no_grad;
  steps_ = steps;
  round_masters();
}

void AdamW::round_masters() {
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    if (!values_[i].is_same(slices_[i].value)) slices_[i].value.copy_(values_[i]);
  }
}

}  // namespace herd
