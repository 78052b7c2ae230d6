#include "peft/adalora.h"

#include <algorithm>

#include "peft/dropout.h"
#include "peft/kept_ranks.h"
#include "peft/low_rank.h"
#include "peft/select.h"
#include "peft/start.h"

namespace herd {
namespace {

constexpr double kStd = 0.02;  // of new singular vectors

class AdaLoraSlot final : public LinearSlot {
 public:
  AdaLoraSlot(const std::string& layer, Linear& linear, std::int64_t r, const PeftOptions& o, const PeftStart& start,
              std::shared_ptr<const RandomKeys> keys)
      : a_({r, linear.in_features()}, {"lora_rank", "in"}), e_({r, 1}, {"lora_rank", "one"}, o.init == AdapterInit::kNoChange ? Init::kZeros : Init::kNormal),
        b_({linear.out_features(), r}, {"out", "lora_rank"}), scale_(o.alpha / (static_cast<double>(o.init_r) + 1e-5)),
        dropout_(o.dropout, layer, std::move(keys)) {
    const auto dtype = wide_type(linear.has_dense_weight() ? linear.weight().value.scalar_type() : at::kFloat);
    a_.name = kPeftPrefix + layer + ".lora_A";
    e_.name = kPeftPrefix + layer + ".lora_E";
    b_.name = kPeftPrefix + layer + ".lora_B";
    for (auto* parameter : {&a_, &e_, &b_}) {
      set_dtype(*parameter, dtype);
      if (!start.seed) continue;
      materialise(*parameter, dtype);
      initialise(*parameter, *start.seed, parameter == &e_ ? 1 : kStd);
    }
  }

  Tensor base_and_delta(WeightStorage& base, const Tensor& x) override {
    std::optional<InputMask> mask;
    if (dropout_.active()) mask = InputMask{dropout_.mask(x), dropout_.scale()};
    return low_rank_linear(base, x, a_.value * e_.value, b_.value, scale_, mask);
  }

  std::optional<Tensor> merged(const Tensor& weight) const override {
    at::NoGradGuard no_grad;
    return at::addmm(weight, b_.value.to(weight.scalar_type()), (a_.value * e_.value).to(weight.scalar_type()), 1, scale_);
  }

  void visit(Visitor& v) override {
    v("lora_A", a_);
    v("lora_E", e_);
    v("lora_B", b_);
  }

 private:
  Parameter a_, e_, b_;  // [r, in] [r, 1] [out, r]
  double scale_;
  KeyedDropout dropout_;
};

}  // namespace

void attach_adalora(CausalLm& model, const PeftOptions& options, const PeftStart& start) {
  const auto targets = target_linears(model, options.target_modules, options.modules_to_save);
  refuse_dropout_before_head(model, targets, options.dropout);
  freeze(model);
  for (const auto& [name, linear] : targets) {
    const auto* kept = kept_ranks_of(options, name);
    const auto r = kept ? std::count(kept->begin(), kept->end(), true) : options.init_r;
    linear->fill_slot(std::make_unique<AdaLoraSlot>(name, *linear, r, options, start, model.random));
  }
  train_biases(model, options.bias, targets);
  train_modules(model, options.modules_to_save, targets);
}

}  // namespace herd
