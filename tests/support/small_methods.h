#pragma once
#include <algorithm>

#include "peft/peft_options.h"
#include "peft/registry.h"
#include "peft/select.h"

namespace herd::test {

/// A method's options for a model of width 32 and two blocks.
inline PeftOptions small_method(const std::string& name, const std::string& family) {
  const auto& method = peft_methods().at(name);
  PeftOptions o{.method = name};
  if (method.reads("trainable_blocks")) o.trainable_blocks = 1;
  if (method.reads("r")) o.r = 4;
  if (method.reads("bottleneck_size")) o.bottleneck_size = 6;
  if (method.reads("num_virtual_tokens")) o.num_virtual_tokens = 5;
  if (method.reads("prefix_projection")) o.prefix_projection = true;
  if (method.reads("encoder_hidden_size")) o.encoder_hidden_size = 16;
  if (name == "lora" || name == "adalora") o.target_modules = {{"all-linear"}, true};  // the others stand where their family says
  complete(o, family);
  for (auto* names : {&o.target_modules.values, &o.feedforward_modules.values}) std::sort(names->begin(), names->end());  // PEFT keeps sets
  return o;
}

/// Moves every trained parameter, as training would: a new adapter may be no change at all.
inline void shake(CausalLm& model) {
  at::NoGradGuard no_grad;
  std::int64_t i = 0;
  for (auto* p : trained_parameters(model))
    p->value.add_(0.05 * at::sin(at::arange(p->value.numel(), p->value.options()) * 0.7 + static_cast<double>(++i)).view_as(p->value));
}

}  // namespace herd::test
