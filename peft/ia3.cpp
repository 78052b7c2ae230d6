#include "peft/ia3.h"

#include <nlohmann/json.hpp>

#include "peft/peft_json.h"
#include "peft/select.h"
#include "peft/start.h"

namespace herd {
namespace {

class Ia3Slot final : public LinearSlot {
 public:
  Ia3Slot(const std::string& layer, Linear& linear, bool feedforward, AdapterInit init, const PeftStart& start)
      : feedforward_(feedforward) {
    const auto how = init == AdapterInit::kNoChange ? Init::kOnes : Init::kNormal;
    l_ =
        feedforward ? Parameter({1, linear.in_features()}, {"one", "in"}, how) : Parameter({linear.out_features(), 1}, {"out", "one"}, how);
    begin(l_, layer + ".ia3_l", linear, start);
  }

  Tensor in(const Tensor& x) override { return feedforward_ ? scaled(x) : x; }
  Tensor after(const Tensor& y) override { return feedforward_ ? y : scaled(y); }
  std::optional<Tensor> merged(const Tensor& weight) const override { return weight * l_.value.detach().to(weight.scalar_type()); }
  void visit(Visitor& v) override { v("ia3_l", l_); }

 private:
  Tensor scaled(const Tensor& x) const { return (x * l_.value.view(-1)).to(x.scalar_type()); }

  Parameter l_;
  bool feedforward_;
};

// An entry that chooses none of the targets would change nothing.
void check_feedforward(const OneOrMany& feedforward, const std::vector<NamedLinear>& targets) {
  for (const auto& entry : feedforward.values) {
    const auto names = module_names("peft.feedforward_modules", {{entry}, feedforward.single});
    if (std::any_of(targets.begin(), targets.end(), [&](const NamedLinear& x) { return names(x.name); })) continue;
    throw ConfigError({.who = "peft.feedforward_modules",
                       .found = "'" + entry + "', which names none of the targets",
                       .expected = "layers that peft.target_modules chooses, such as " + targets.front().name,
                       .remedy = ""});
  }
}

}  // namespace

void complete_ia3(PeftOptions& o, const std::string& family) {
  default_targets(o.target_modules, &FamilyTargets::ia3, "ia3", family);
  const auto* of_family = family_targets().find(family);
  if (!o.feedforward_modules.values.empty() || !of_family) return;
  // Of two lists PEFT wants the one to be part of the other.
  for (const auto& name : of_family->ia3_feedforward) {
    const auto& chosen = o.target_modules.values;
    if (o.target_modules.single || std::find(chosen.begin(), chosen.end(), name) != chosen.end()) o.feedforward_modules.values.push_back(name);
  }
}

void attach_ia3(CausalLm& model, const PeftOptions& o, const PeftStart& start) {
  const auto targets = target_linears(model, o.target_modules, o.modules_to_save);
  const auto feedforward = module_names("peft.feedforward_modules", o.feedforward_modules);
  if (!o.target_modules.single) check_feedforward(o.feedforward_modules, targets);
  freeze(model);
  for (const auto& [name, linear] : targets) linear->fill_slot(std::make_unique<Ia3Slot>(name, *linear, feedforward(name), o.init, start));
  train_modules(model, o.modules_to_save, targets);
}

void write_ia3_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  if (o.feedforward_modules.single) json["feedforward_modules"] = o.feedforward_modules.values.front();
  else json["feedforward_modules"] = o.feedforward_modules.values;
  json["exclude_modules"] = nullptr;
  json["fan_in_fan_out"] = false;
  json["init_ia3_weights"] = o.init == AdapterInit::kNoChange;
}

void read_ia3_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  reader.read("feedforward_modules", o.feedforward_modules);
  for (const auto* key : {"init_ia3_weights", "fan_in_fan_out"}) reader.ignore(key);  // nothing that the tensors do not already say
  reader.refuse_others({{"exclude_modules", nullptr}});
}

}  // namespace herd
