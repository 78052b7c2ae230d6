#include "peft/lora.h"

#include <cmath>

#include "peft/dora.h"
#include "peft/dropout.h"
#include "peft/lora_start.h"
#include "peft/low_rank.h"
#include "peft/patterns.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "peft/start.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

class LoraSlot final : public LinearSlot {
 public:
  LoraSlot(const std::string& layer, Linear& linear, const PeftOptions& o, const PeftStart& start, std::shared_ptr<const RandomKeys> keys)
      : dropout_(o.dropout, layer, std::move(keys)) {
    const auto r = static_cast<std::int64_t>(by_pattern(o.rank_pattern, layer, static_cast<double>(o.r)));
    const auto alpha = by_pattern(o.alpha_pattern, layer, o.alpha);
    scale_ = alpha / (o.use_rslora ? std::sqrt(static_cast<double>(r)) : static_cast<double>(r));
    check_rank(layer, linear, r, start);
    const bool from_base = begins_from_base(o);
    a_ = Parameter({r, linear.in_features()}, {"lora_rank", "in"}, Init::kKaimingUniform);
    b_ = Parameter({linear.out_features(), r}, {"out", "lora_rank"}, o.init == AdapterInit::kNoChange ? Init::kZeros : Init::kKaimingUniform);
    if (from_base) a0_ = a_, b0_ = b_;
    if (o.use_dora) magnitude_ = Parameter({linear.out_features()}, {"out"}, Init::kOnes);
    visit_named([&](const char* name, Parameter& p) {
      if (p.defined()) begin(p, layer + "." + name, linear, start);
    });
    for (auto* first : {&a0_, &b0_})
      if (first->defined()) first->set_trainable(false);
    if (start.seed && (from_base || o.use_dora)) begin_from_base(base_matrix(layer, linear, start), o);
  }

  Tensor base_and_delta(WeightStorage& base, const Tensor& x) override {
    std::optional<InputMask> mask;
    if (dropout_.active()) mask = InputMask{dropout_.mask(x), dropout_.scale()};
    const auto a = whole_a(), b = whole_b();
    const auto y = low_rank_linear(base, x, a, b, scale_, mask);
    if (!magnitude_.defined()) return y;
    // In fp32: next to 1 the format of bf16 takes no step below 1/256.
    return (y * (magnitude_.value / lengths_(base, a, b, scale_, x.scalar_type()))).to(y.scalar_type());
  }

  std::optional<Tensor> merged(const Tensor& weight) const override {
    at::NoGradGuard no_grad;
    const auto a = whole_a(), b = whole_b();
    const auto w = at::addmm(weight, b.to(weight.scalar_type()), a.to(weight.scalar_type()), 1, scale_);
    if (!magnitude_.defined()) return w;
    return w * (magnitude_.value / RowLengths::of(weight, a, b, scale_)).to(w.scalar_type()).unsqueeze(1);
  }

  void visit(Visitor& v) override { visit_named(v); }

 private:
  template <class F>
  void visit_named(F&& f) {
    f("lora_A.weight", a_);
    f("lora_B.weight", b_);
    f("lora_magnitude_vector", magnitude_);
    f(kFirstA, a0_);
    f(kFirstB, b0_);
  }

  static void check_rank(const std::string& layer, const Linear& linear, std::int64_t r, const PeftStart& start) {
    const auto most = std::min(linear.in_features(), linear.out_features());
    if (!start.seed || r <= most) return;
    throw ConfigError({.who = "peft.r", .found = std::to_string(r) + " for " + layer + " [" + std::to_string(linear.out_features()) + ", " +
                                                 std::to_string(linear.in_features()) + "]",
                       .expected = "at most " + std::to_string(most) + ": a matrix has no greater rank",
                       .remedy = "peft.r=" + std::to_string(most) + ", or peft.rank_pattern for this layer"});
  }

  void begin_from_base(const Tensor& weight, const PeftOptions& o) {
    at::NoGradGuard no_grad;
    if (a0_.defined()) {
      const auto [a, b] = o.init == AdapterInit::kPissa ? pissa(weight, a_.value.size(0), scale_) : olora(weight, a_.value.size(0));
      for (auto* p : {&a_, &a0_}) p->value.copy_(a);
      for (auto* p : {&b_, &b0_}) p->value.copy_(b);
    }
    if (magnitude_.defined()) magnitude_.value.copy_(RowLengths::of(weight, whole_a(), whole_b(), scale_));
  }

  // A start from the base's weights counts from there: B·A − B₀·A₀ is added to a base that stays as it is (lora_start.h).
  Tensor whole_a() const { return a0_.defined() ? at::cat({a_.value, a0_.value}) : a_.value; }
  Tensor whole_b() const { return b0_.defined() ? at::cat({b_.value, -b0_.value}, 1) : b_.value; }

  Parameter a_, b_, a0_, b0_;  // [r, in] [out, r], the same of the start
  Parameter magnitude_;        // [out], DoRA's
  double scale_ = 1;
  RowLengths lengths_;
  KeyedDropout dropout_;
};

}  // namespace

void complete_lora(PeftOptions& options, const std::string& family) {
  default_targets(options.target_modules, &FamilyTargets::lora, "lora", family);
}

double lora_learning_rate_factor(const PeftOptions& options, const Parameter& parameter) {
  return parameter.name.ends_with(".lora_B.weight") ? options.lora_plus_ratio : 1;
}

void attach_lora(CausalLm& model, const PeftOptions& options, const PeftStart& start) {
  const auto targets =
      in_layers(target_linears(model, options.target_modules, options.modules_to_save), options.layers_to_transform, options.layers_pattern);
  check_patterns("rank_pattern", options.rank_pattern, targets);
  check_patterns("alpha_pattern", options.alpha_pattern, targets);
  refuse_dropout_before_head(model, targets, options.dropout);
  freeze(model);
  for (const auto& [name, linear] : targets) linear->fill_slot(std::make_unique<LoraSlot>(name, *linear, options, start, model.random));
  train_biases(model, options.bias, targets);
  train_modules(model, options.modules_to_save, targets);
}

}  // namespace herd
