#include "peft/peft_options.h"

#include "peft/registry.h"

namespace herd {

void describe(Schema& s, PeftOptions& o) {
  s.field("method", o.method, "what is trained; none: every parameter of the model").one_of(peft_methods().names()).known_as({"peft_type"});
  s.field("r", o.r, "rank of the update").range(1, 4096).known_as({"rank", "lora_r"});
  s.field("alpha", o.alpha, "the update is scaled by alpha / r").above(0).known_as({"lora_alpha"});
  s.field("use_rslora", o.use_rslora, "the update is scaled by alpha / sqrt(r) instead (rank-stabilised)");
  s.field("dropout", o.dropout, "probability that an input of the update is dropped in training")
      .at_least(0)
      .below(1)
      .known_as({"lora_dropout"});
  s.field("target_modules",
          o.target_modules,
          "the linear layers that get an update: a list of name suffixes, one regular expression for whole names, or all-linear")
      .known_as({"lora_target_modules", "targets"});
  s.choice("bias", o.bias, {{"none", TrainedBiases::kNone}, {"all", TrainedBiases::kAll}, {"lora_only", TrainedBiases::kLoraOnly}},
           "biases trained besides: none, all of the model's, or those of the updated layers").known_as({"lora_bias"});
  s.field("modules_to_save", o.modules_to_save, "suffixes of modules that are trained whole and stored with the adapter");
  s.field("adapter", o.adapter, "PEFT folder or hub id of an adapter to go on from, which says r, alpha, targets and the like; from the working folder; empty: a new one");
  s.field("init", o.init, "a new adapter begins as no change at all (B is zero); false: both factors are random")
      .known_as({"init_lora_weights"});
}

void PeftOptions::validate() const {
  if (method == "none" && !adapter.empty())
    throw InvalidSetting("adapter", "'" + adapter + "'", "empty where peft.method is none", "peft.method=lora goes on from this adapter");
  if (method != "none" && target_modules.values.empty()) throw InvalidSetting("target_modules", "empty", "at least one layer to update");
}

}  // namespace herd
