#include "peft/none.h"

#include "runtime/nn/causal_lm.h"

namespace herd {

void attach_none(CausalLm& model, const PeftOptions& /*options*/, const PeftStart& /*start*/) {
  for_each_parameter(model, [](const std::string&, Parameter& p) { p.set_trainable(true); });
  model.tie();
}

}  // namespace herd
