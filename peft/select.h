#pragma once
#include <functional>
#include <string>
#include <vector>

#include "peft/family_targets.h"
#include "peft/peft_options.h"
#include "runtime/nn/causal_lm.h"

// What every method needs to choose parts of a model, as PEFT chooses them.
namespace herd {

/// In PEFT's files every name of the base model stands behind this.
inline constexpr const char* kPeftPrefix = "base_model.model.";

struct NamedLinear {
  std::string name;  ///< "model.layers.0.self_attn.q_proj"
  Linear* linear = nullptr;
};

/// The linear layers that `target_modules` names, in the model's order: one string is a regular expression (ECMAScript's) for whole names,
/// or `all-linear`, all but the head; a list holds names or their ends after a dot. Modules in `modules_to_save` are never targets.
/// @throws ConfigError where an entry matches nothing, naming the nearest modules, or names an embedding.
std::vector<NamedLinear> target_linears(CausalLm& model, const OneOrMany& targets, const std::vector<std::string>& modules_to_save);

/// Which names of modules the value of a key means: a list holds names or their ends after a dot, one string is a regular expression for whole
/// names. @param who the key, for the error where that is none.
std::function<bool(const std::string&)> module_names(const std::string& who, const OneOrMany& entries);

/// Puts the family's default in the place of targets that a recipe left out. @throws ConfigError where the family has none for this method.
void default_targets(OneOrMany& targets, std::vector<std::string> FamilyTargets::*of_family, const std::string& method, const std::string& family);

/// In training the head sees supervised tokens alone, whose rows it does not know. @throws ConfigError where it is a target with dropout.
void refuse_dropout_before_head(CausalLm& model, const std::vector<NamedLinear>& targets, double dropout);

/// Nothing of the model is trained.
void freeze(CausalLm& model);

/// Trains biases besides: all of the model's, or those of `updated` layers. Gives them their names in PEFT's files.
void train_biases(CausalLm& model, TrainedBiases which, const std::vector<NamedLinear>& updated);

/// Trains modules whole: those whose name ends with an entry (PEFT's rule, without a dot). Gives their parameters PEFT's names.
/// @throws ConfigError where an entry matches nothing, matches an updated layer, or would part a tied head from its embedding.
void train_modules(CausalLm& model, const std::vector<std::string>& modules_to_save, const std::vector<NamedLinear>& updated);

/// The parameters that are trained, in the model's order.
std::vector<Parameter*> trained_parameters(CausalLm& model);

}  // namespace herd
