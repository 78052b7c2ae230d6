#pragma once
#include <cstdint>
#include <optional>

#include "peft/method.h"
#include "peft/peft_options.h"
#include "peft/step_rule.h"
#include "runtime/base/registry.h"

namespace herd {

/// Every method by its name in `peft.method`.
const Table<PeftMethod>& peft_methods();

/// The methods that read a key of the `peft` section, in the table's order.
std::vector<std::string> readers_of(const std::string& key);

/// Whether a key of the `peft` section says how a run goes and nothing of what an adapter computes.
bool is_of_run(const std::string& key);

/// Prepares a model for training (or inference) with `options.method`. Once a model: loading and saving of its base come
/// before.
/// @return the options with what they left to the family filled in.
PeftOptions attach(CausalLm& model, PeftOptions options, const PeftStart& start);
/// The same for a base that is not on the meta device, or whose values no new parameter begins from.
PeftOptions attach(CausalLm& model, PeftOptions options, std::optional<std::uint64_t> seed);

/// What the method of `options` does at an optimizer's step of a run of so many, over the slices that this rank updates; null: nothing.
/// @throws ConfigError for a run that it does not fit.
std::unique_ptr<StepRule> make_step_rule(CausalLm& model, const PeftOptions& options, std::span<Slice> slices, std::int64_t total_steps);

/// Fills in what options leave to the family. @throws ConfigError where it says nothing.
void complete(PeftOptions& options, const std::string& family);

}  // namespace herd
