#include "train/optimizer.h"

namespace herd {

namespace {

Tensor copy_on_host(const Tensor& x, at::ScalarType dtype) { return empty_on_host(x, dtype).copy_(x); }

}  // namespace

AdamW::AdamW(std::span<Slice> slices, const TrainOptions& options, bool on_host, const std::function<double(const Parameter&)>& factor)
    : slices_(slices), options_(options) {
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto& value = slices[i].value;
    const bool moves = on_host && !value.is_cpu();
    values_.push_back(moves ? copy_on_host(value, wide_type(value)) : value.to(wide_type(value)));  // the same memory where it is fp32 already
    const auto& grad = slices[i].grad;
    grads_.push_back(grad.device() == values_.back().device() ? grad : empty_on_host(grad, grad.scalar_type()));
    exp_avg_.push_back(at::zeros_like(values_.back()));
    exp_avg_sq_.push_back(at::zeros_like(values_.back()));
    const auto& parameter = *slices[i].parameter;
    group(parameter.value.dim() < 2 ? 0.0 : options.weight_decay, factor ? factor(parameter) : 1.0).members.push_back(i);
  }
}

AdamW::Group& AdamW::group(double weight_decay, double learning_rate_factor) {
  for (auto& known : groups_)
    if (known.weight_decay == weight_decay && known.learning_rate_factor == learning_rate_factor) return known;
  return groups_.emplace_back(Group{weight_decay, learning_rate_factor, {}});
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
      if (!grads_[i].is_same(slices_[i].grad)) grads_[i].copy_(slices_[i].grad);
      grads.push_back(grads_[i]);
      exp_avg.push_back(exp_avg_[i]);
      exp_avg_sq.push_back(exp_avg_sq_[i]);
      steps.push_back(at::scalar_tensor(static_cast<double>(steps_), values_[i].options()));
    }
    at::_fused_adamw_(values, grads, exp_avg, exp_avg_sq, {}, steps, learning_rate * group.learning_rate_factor, options_.beta1, options_.beta2, group.weight_decay,
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

void AdamW::change_values(const std::function<void(const Slice&, const Tensor&)>& f) {
  at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < slices_.size(); ++i) f(slices_[i], values_[i].detach());
  round_masters();
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
