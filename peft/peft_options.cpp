#include "peft/peft_options.h"

#include "peft/registry.h"

namespace herd {

void describe(Schema& s, PeftOptions& o) {
  s.field("method", o.method, "what is trained; none: every parameter of the model (herd peft list)")
      .one_of(peft_methods().names())
      .known_as({"peft_type"});
  s.field("r", o.r, "rank of the update").range(1, 4096).known_as({"rank", "lora_r"});
  s.field("alpha", o.alpha, "the update is scaled by alpha / r").above(0).known_as({"lora_alpha"});
  s.field("use_rslora", o.use_rslora, "the update is scaled by alpha / sqrt(r) instead (rank-stabilised)");
  s.field("use_dora", o.use_dora, "the length of each of the weight's rows is trained apart from its direction (DoRA)");
  s.field("rank_pattern", o.rank_pattern, "r of some layers: {name or its end, or a regular expression: r}").range(1, 4096);
  s.field("alpha_pattern", o.alpha_pattern, "alpha of some layers, likewise").above(0);
  s.field("layers_to_transform", o.layers_to_transform, "numbers of the blocks that get an update; empty: all").at_least(0).known_as({"layers"});
  s.field("layers_pattern", o.layers_pattern, "the part of a module's name before a block's number; empty: whatever stands there");
  s.field("lora_plus_ratio", o.lora_plus_ratio, "learning rate of B over that of A (LoRA+); 1: the same")
      .above(0)
      .known_as({"loraplus_lr_ratio", "lora_plus"});
  s.field("dropout", o.dropout, "probability that an input of the update is dropped in training")
      .at_least(0)
      .below(1)
      .known_as({"lora_dropout", "adapter_dropout"});
  s.field("target_modules",
          o.target_modules,
          "the linear layers that get an update: a list of name suffixes, one regular expression for whole names, or all-linear; empty: the family's default")
      .known_as({"lora_target_modules", "targets"});
  s.field("feedforward_modules", o.feedforward_modules, "the targets that are scaled at their input, not their output; empty: the family's default");
  s.field("bottleneck_size", o.bottleneck_size, "width of a bottleneck adapter").range(1, 65536).known_as({"adapter_size"});
  s.choice("non_linearity", o.non_linearity,
           {{"tanh", Activation::kTanh}, {"relu", Activation::kRelu}, {"gelu", Activation::kGelu}, {"silu", Activation::kSilu}},
           "between the two matrices of a bottleneck adapter");
  s.field("scaling", o.scaling, "a bottleneck adapter's output is multiplied by this").above(0);
  s.field("learn_scaling", o.learn_scaling, "that factor is trained, from 1 on");
  s.field("trainable_blocks", o.trainable_blocks, "freeze trains the last so many blocks, below zero the first; 0: none")
      .known_as({"freeze_trainable_layers", "num_layer_trainable", "last_blocks"});
  s.field("trainable_modules", o.trainable_modules, "modules of those blocks, such as mlp or self_attn; empty: all")
      .known_as({"freeze_trainable_modules", "name_module_trainable"});
  s.field("trainable_parts", o.trainable_parts, "what freeze trains besides, of the whole model")
      .one_of({"embedding", "head", "norms"})
      .known_as({"freeze_extra_modules"});
  s.choice("bias", o.bias, {{"none", TrainedBiases::kNone}, {"all", TrainedBiases::kAll}, {"lora_only", TrainedBiases::kLoraOnly}},
           "biases trained besides: none, all of the model's, or those of the updated layers").known_as({"lora_bias"});
  s.field("modules_to_save", o.modules_to_save, "suffixes of modules that are trained whole and stored with the adapter");
  s.field("adapter", o.adapter, "PEFT folder or hub id of an adapter to go on from, which says r, alpha, targets and the like; from the working folder; empty: a new one");
  s.choice("init", o.init,
           {{"true", AdapterInit::kNoChange}, {"false", AdapterInit::kRandom}, {"pissa", AdapterInit::kPissa}, {"olora", AdapterInit::kOlora}},
           "true: a new adapter begins as no change at all; false: at random; lora's from the base's weights: pissa, its greatest singular "
           "vectors, or olora, its QR decomposition")
      .known_as({"init_lora_weights", "init_ia3_weights"});
  s.field("init_r", o.init_r, "adalora: rank of each layer's update at first").range(1, 4096);
  s.field("target_r", o.target_r, "adalora: mean rank at last; what a layer keeps of it is what its sensitivity to the loss is worth").range(1, 4096);
  s.field("tinit", o.tinit, "adalora: steps before ranks are given up").at_least(0);
  s.field("tfinal", o.tfinal, "adalora: steps after the last are").at_least(0);
  s.field("delta_t", o.delta_t, "adalora: steps from one choice of ranks to the next").at_least(1).known_as({"deltaT"});
  s.field("beta1", o.beta1, "adalora: how much of a sensitivity is its past").above(0).below(1);
  s.field("beta2", o.beta2, "adalora: likewise, of how much it varies").above(0).below(1);
  s.field("orth_reg_weight", o.orth_reg_weight, "adalora: weight of the singular vectors' distance from orthogonality in the loss").above(0);
  s.field("num_virtual_tokens", o.num_virtual_tokens, "virtual tokens before each text; prefix: keys and values before it in each layer")
      .range(1, 65536)
      .known_as({"pre_seq_len"});
  s.field("prompt_init_text", o.prompt_init_text, "virtual tokens begin as the embeddings of this text's tokens, repeated or cut; empty: at random")
      .known_as({"prompt_tuning_init_text"});
  s.field("prefix_projection", o.prefix_projection, "a prefix is trained by way of a projection (two layers), which is not stored");
  s.choice("encoder", o.encoder, {{"mlp", PromptEncoderKind::kMlp}, {"lstm", PromptEncoderKind::kLstm}},
           "what makes the virtual tokens of p_tuning while they are trained; it is not stored").known_as({"encoder_reparameterization_type"});
  s.field("encoder_hidden_size", o.encoder_hidden_size, "width inside an encoder or projection; 0: as wide as a token's embedding (a layer's keys)")
      .at_least(0);
  s.field("encoder_num_layers", o.encoder_num_layers, "layers of an LSTM encoder").range(1, 64);
}

const std::map<std::string, void (*)(PeftOptions&, const PeftOptions&)>& keys_of_a_course() {
  static const std::map<std::string, void (*)(PeftOptions&, const PeftOptions&)> keys{
      {"dropout", [](PeftOptions& to, const PeftOptions& from) { to.dropout = from.dropout; }},
      {"target_r", [](PeftOptions& to, const PeftOptions& from) { to.target_r = from.target_r; }},
      {"tinit", [](PeftOptions& to, const PeftOptions& from) { to.tinit = from.tinit; }},
      {"tfinal", [](PeftOptions& to, const PeftOptions& from) { to.tfinal = from.tfinal; }},
      {"delta_t", [](PeftOptions& to, const PeftOptions& from) { to.delta_t = from.delta_t; }},
      {"beta1", [](PeftOptions& to, const PeftOptions& from) { to.beta1 = from.beta1; }},
      {"beta2", [](PeftOptions& to, const PeftOptions& from) { to.beta2 = from.beta2; }},
      {"orth_reg_weight", [](PeftOptions& to, const PeftOptions& from) { to.orth_reg_weight = from.orth_reg_weight; }}};
  return keys;
}

void PeftOptions::validate() const {
  if (method == "none" && !adapter.empty())
    throw InvalidSetting("adapter", "'" + adapter + "'", "empty where peft.method is none", "peft.method=lora, or its own method, goes on from this adapter");
  const bool from_base = init == AdapterInit::kPissa || init == AdapterInit::kOlora;
  if (from_base && method != "lora") throw InvalidSetting("init", "a start from the base's weights", "true or false where peft.method is " + method);
  if (from_base && !adapter.empty()) throw InvalidSetting("init", "a start from the base's weights", "true where peft.adapter has begun already");
  if (!layers_to_transform.empty() && target_modules.single)
    throw InvalidSetting("layers_to_transform", "a list of blocks", "none where peft.target_modules is one pattern, which can name the blocks itself");
  if (!layers_pattern.empty() && layers_to_transform.empty())
    throw InvalidSetting("layers_pattern", "set", "empty where peft.layers_to_transform is empty");
  if (peft_methods().at(method).reads("target_r") && target_r > init_r)
    throw InvalidSetting("target_r", std::to_string(target_r), "at most peft.init_r, " + std::to_string(init_r) + ": ranks are given up, never added");
}

}  // namespace herd
