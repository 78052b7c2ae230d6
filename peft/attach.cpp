#include "peft/registry.h"
#include "peft/start.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

void complete(PeftOptions& options, const std::string& family) {
  if (const auto fill_in = peft_methods().at(options.method).complete) fill_in(options, family);
}

PeftOptions attach(CausalLm& model, PeftOptions options, const PeftStart& start) {
  complete(options, model.facts.family);
  peft_methods().at(options.method).attach(model, options, start);
  return options;
}

PeftOptions attach(CausalLm& model, PeftOptions options, std::optional<std::uint64_t> seed) {
  return attach(model, std::move(options), PeftStart{.seed = seed});
}

}  // namespace herd
