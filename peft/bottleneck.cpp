#include "peft/bottleneck.h"

#include "peft/dropout.h"
#include "peft/rectified.h"
#include "peft/select.h"
#include "peft/start.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

enum class Place { kBefore, kAfter, kBeside };

Tensor activated(const Tensor& x, Activation how) {
  switch (how) {
    case Activation::kTanh: return x.tanh();
    case Activation::kRelu: return rectified(x);
    case Activation::kGelu: return at::gelu(x);
    case Activation::kSilu: return at::silu(x);
  }
  return x;
}

class BottleneckSlot final : public LinearSlot {
 public:
  BottleneckSlot(const std::string& layer, Linear& linear, Place place, const PeftOptions& o, const PeftStart& start,
                 std::shared_ptr<const RandomKeys> keys)
      : down_({o.bottleneck_size, place == Place::kAfter ? linear.out_features() : linear.in_features()}, {"bottleneck", "in"},
              o.init == AdapterInit::kNoChange ? Init::kKaimingUniform : Init::kNormal),
        up_({place == Place::kBefore ? linear.in_features() : linear.out_features(), o.bottleneck_size}, {"out", "bottleneck"},
            o.init == AdapterInit::kNoChange ? Init::kZeros : Init::kNormal),
        place_(place), activation_(o.non_linearity), scale_(o.scaling), dropout_(o.dropout, layer, std::move(keys)) {
    begin(down_, layer + ".adapter_down.weight", linear, start);
    begin(up_, layer + ".adapter_up.weight", linear, start);
    if (!o.learn_scaling) return;
    learnt_scale_ = Parameter({1}, {"one"}, Init::kOnes);
    begin(learnt_scale_, layer + ".adapter_scaling", linear, start);
  }

  Tensor in(const Tensor& x) override { return place_ == Place::kBefore ? x + adapter(x) : x; }
  Tensor delta(const Tensor& x) override { return place_ == Place::kBeside ? adapter(x) : Tensor(); }
  Tensor after(const Tensor& y) override { return place_ == Place::kAfter ? y + adapter(y) : y; }

  void visit(Visitor& v) override {
    v("adapter_down.weight", down_);
    v("adapter_up.weight", up_);
    v("adapter_scaling", learnt_scale_);
  }

 private:
  Tensor adapter(const Tensor& x) const {
    const auto kept = dropout_.active() ? (x * dropout_.mask(x)).mul_(dropout_.scale()) : x;
    const auto h = activated(at::linear(kept, down_.value.to(x.scalar_type())), activation_);
    const auto y = at::linear(h, up_.value.to(x.scalar_type()));
    return learnt_scale_.defined() ? (y * learnt_scale_.value).to(x.scalar_type()) : y * scale_;
  }

  Parameter down_, up_, learnt_scale_;  // [b, width] [width, b] [1]
  Place place_;
  Activation activation_;
  double scale_;
  KeyedDropout dropout_;
};

bool is_one_of(const std::string& name, const std::vector<std::string>& ends) {
  return !ends.empty() && module_names("", {ends, false})(name);
}

Place place_of(const std::string& layer, const std::string& family) {
  const auto& targets = family_targets().at(family);
  if (is_one_of(layer, targets.mlp_out)) return Place::kAfter;
  if (is_one_of(layer, targets.mlp_in)) return Place::kBefore;
  throw ConfigError({.who = "peft.target_modules",
                     .found = "'" + layer + "', where no adapter of this kind stands",
                     .expected = "ways into the MLP (" + join(targets.mlp_in) + "), where one stands before, or out of it (" +
                                 join(targets.mlp_out) + "), where one stands after",
                     .remedy = "peft.method=adapter_parallel stands beside any linear layer"});
}

template <class PlaceOf>
void attach_bottleneck(CausalLm& model, const PeftOptions& o, const PeftStart& start, PlaceOf place) {
  const auto targets = target_linears(model, o.target_modules, o.modules_to_save);
  refuse_dropout_before_head(model, targets, o.dropout);
  std::vector<Place> places;
  for (const auto& target : targets) places.push_back(place(target.name));
  freeze(model);
  for (std::size_t i = 0; i < targets.size(); ++i)
    targets[i].linear->fill_slot(std::make_unique<BottleneckSlot>(targets[i].name, *targets[i].linear, places[i], o, start, model.random));
  train_modules(model, o.modules_to_save, targets);
}

}  // namespace

void attach_adapter_h(CausalLm& model, const PeftOptions& o, const PeftStart& start) {
  attach_bottleneck(model, o, start, [&](const std::string& layer) { return place_of(layer, model.facts.family); });
}

void attach_adapter_p(CausalLm& model, const PeftOptions& o, const PeftStart& start) { attach_adapter_h(model, o, start); }

void attach_adapter_parallel(CausalLm& model, const PeftOptions& o, const PeftStart& start) {
  attach_bottleneck(model, o, start, [](const std::string&) { return Place::kBeside; });
}

void complete_bottleneck(PeftOptions& o, const std::string& family) {
  if (o.method == "adapter_parallel") return default_targets(o.target_modules, &FamilyTargets::attention_in, o.method, family);
  if (!o.target_modules.values.empty()) return;
  default_targets(o.target_modules, &FamilyTargets::mlp_out, o.method, family);
  if (o.method == "adapter_p") return;
  const auto& into = family_targets().at(family).mlp_in;
  o.target_modules.values.insert(o.target_modules.values.begin(), into.begin(), into.end());
}

}  // namespace herd
