#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "peft/method.h"

namespace herd {

/// AdaLoRA (Zhang et al. 2023): y += α / (init_r + 1e-5) · B·(E ∘ A)·x, singular vectors in A and B that are drawn towards orthogonality, singular
/// values in E of which a run keeps the most important, a budget over all layers together.
void attach_adalora(CausalLm& model, const PeftOptions& options, const PeftStart& start);

void write_adalora_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_adalora_config(const nlohmann::json& json, PeftOptions& options);

/// The regulariser, the sensitivities and the budget of a run of so many steps.
/// @throws ConfigError where the schedule leaves no step to shrink in.
std::unique_ptr<StepRule> adalora_rule(CausalLm& model, const PeftOptions& options, std::span<Slice> slices, std::int64_t total_steps);

/// What a run's state (StepRule::state) says of its adapter's folder: once the last choice is made, the ranks that it leaves out. Before that it
/// holds all, for those that are given up may come back.
void take_adalora_state(const std::string& state, PeftOptions& options);

}  // namespace herd
