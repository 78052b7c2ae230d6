#pragma once
#include "peft/method.h"
#include "runtime/base/registry.h"

namespace herd {

/// Every method by its name in `peft.method`.
const Table<PeftMethod>& peft_methods();

/// Prepares a model for training (or inference) with `options.method`. Once a model: loading and saving of its base come
/// before.
/// @param seed of new parameters; the same on every rank. None: they stay on the meta device.
void attach(CausalLm& model, const PeftOptions& options, std::optional<std::uint64_t> seed);

}  // namespace herd
