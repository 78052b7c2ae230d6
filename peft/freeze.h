#pragma once
#include "peft/method.h"

namespace herd {

/// BitFit (Ben Zaken et al. 2022): all biases of the model, those of norms too, and nothing else. @throws ConfigError where it has none.
void attach_bitfit(CausalLm& model, const PeftOptions& options, const PeftStart& start);

/// Trains parts of the model and freezes the rest: its last blocks (or first), of them some modules, and embedding, head or norms besides.
/// @throws ConfigError where the model has fewer blocks, or no such module.
void attach_freeze(CausalLm& model, const PeftOptions& options, const PeftStart& start);

}  // namespace herd
