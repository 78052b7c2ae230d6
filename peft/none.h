#pragma once
#include "peft/method.h"

namespace herd {

/// Full fine-tuning: every parameter is trained and keeps its name.
void attach_none(CausalLm& model, const PeftOptions& options, const PeftStart& start);

}  // namespace herd
