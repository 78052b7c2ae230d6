#include "peft/lora.h"

#include <cmath>

#include "peft/dropout.h"
#include "peft/low_rank.h"
#include "peft/select.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

class LoraSlot final : public LinearSlot {
 public:
  LoraSlot(const std::string& layer, Linear& linear, const PeftOptions& o, std::optional<std::uint64_t> seed,
           std::shared_ptr<const RandomKeys> keys)
      : a_({o.r, linear.in_features()}, {"lora_rank", "in"}, Init::kKaimingUniform),
        b_({linear.out_features(), o.r}, {"out", "lora_rank"}, o.init ? Init::kZeros : Init::kKaimingUniform),
        scale_(o.alpha / (o.use_rslora ? std::sqrt(static_cast<double>(o.r)) : static_cast<double>(o.r))),
        dropout_(o.dropout, layer, std::move(keys)) {
    const auto base = linear.has_dense_weight() ? linear.weight().value.scalar_type() : at::kFloat;
    a_.name = kPeftPrefix + layer + ".lora_A.weight";
    b_.name = kPeftPrefix + layer + ".lora_B.weight";
    for (auto* parameter : {&a_, &b_}) {
      set_dtype(*parameter, wide_type(base));
      if (!seed) continue;
      materialise(*parameter, wide_type(base));
      initialise(*parameter, *seed);
    }
  }

  Tensor base_and_delta(WeightStorage& base, const Tensor& x) override {
    std::optional<InputMask> mask;
    if (dropout_.active()) mask = InputMask{dropout_.mask(x), dropout_.scale()};
    return low_rank_linear(base, x, a_.value, b_.value, scale_, mask);
  }

  std::optional<Tensor> merged(const Tensor& weight) const override {
    at::NoGradGuard no_grad;
    return at::addmm(weight, b_.value.to(weight.scalar_type()), a_.value.to(weight.scalar_type()), 1, scale_);
  }

  void visit(Visitor& v) override {
    v("lora_A.weight", a_);
    v("lora_B.weight", b_);
  }

 private:
  Parameter a_, b_;  // [r, in] [out, r]
  double scale_;
  KeyedDropout dropout_;
};

}  // namespace

void attach_lora(CausalLm& model, const PeftOptions& options, std::optional<std::uint64_t> seed) {
  const auto targets = target_linears(model, options.target_modules, options.modules_to_save);
  for (const auto& [name, linear] : targets) {
    if (linear == &model.head() && options.dropout > 0)
      throw ConfigError({.who = "peft.target_modules", .found = "'" + name + "' with peft.dropout above 0",
                         .expected = "no dropout before the head: in training it sees supervised tokens alone, whose rows it does not know",
                         .remedy = "peft.dropout=0, or leave the head out"});
  }
  freeze(model);
  for (const auto& [name, linear] : targets) linear->fill_slot(std::make_unique<LoraSlot>(name, *linear, options, seed, model.random));
  train_biases(model, options.bias, targets);
  train_modules(model, options.modules_to_save, targets);
}

}  // namespace herd
