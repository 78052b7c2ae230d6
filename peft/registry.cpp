#include "peft/registry.h"

#include "peft/adalora.h"
#include "peft/bottleneck.h"
#include "peft/freeze.h"
#include "peft/ia3.h"
#include "peft/lora.h"
#include "peft/none.h"
#include "peft/prompt.h"

namespace herd {
namespace {

PeftMethod bottleneck(void (*attach)(CausalLm&, const PeftOptions&, const PeftStart&), std::string summary) {
  return {.attach = attach,
          .complete = complete_bottleneck,
          .peft_type = "BOTTLENECK",
          .write_config = write_bottleneck_config,
          .read_config = read_bottleneck_config,
          .marked_by = "bottleneck_size",
          .keys = {"bottleneck_size", "non_linearity", "scaling", "learn_scaling", "dropout", "target_modules", "modules_to_save", "init", "adapter"},
          .merges = false,
          .result = "an adapter for the PEFT fork of LLaMA-Adapters; its tanh keeps it from being one matrix, so it does not merge",
          .summary = std::move(summary)};
}

}  // namespace

const Table<PeftMethod>& peft_methods() {
  static const Table<PeftMethod> table{
      "PEFT method",
      {
          {"none",
           {.attach = attach_none,
            .result = "a whole model",
            .summary = "every parameter of the model"}},
          {"freeze",
           {.attach = attach_freeze,
            .keys = {"trainable_blocks", "trainable_modules", "trainable_parts"},
            .result = "a whole model; checkpoints hold what is trained alone",
            .summary = "some blocks, and embedding, head or norms; the rest is frozen"}},
          {"bitfit",
           {.attach = attach_bitfit,
            .result = "a whole model; checkpoints hold what is trained alone",
            .summary = "all biases (Ben Zaken et al. 2022), of families that have some"}},
          {"lora",
           {.attach = attach_lora,
            .complete = complete_lora,
            .peft_type = "LORA",
            .write_config = write_lora_config,
            .read_config = read_lora_config,
            .learning_rate_factor = lora_learning_rate_factor,
            .marked_by = "lora_alpha",
            .keys = {"r", "alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern",
                     "lora_plus_ratio", "dropout", "target_modules", "bias", "modules_to_save", "init", "adapter"},
            .result = "an adapter; merges into the weights it updates",
            .summary = "low-rank updates of linear layers (Hu et al. 2021), with DoRA, LoRA+, rsLoRA, PiSSA and OLoRA"}},
          {"ia3",
           {.attach = attach_ia3,
            .complete = complete_ia3,
            .peft_type = "IA3",
            .write_config = write_ia3_config,
            .read_config = read_ia3_config,
            .marked_by = "feedforward_modules",
            .keys = {"target_modules", "feedforward_modules", "modules_to_save", "init", "adapter"},
            .result = "an adapter; merges exactly, as factors of the weights' rows or columns",
            .summary = "trained factors of keys, values and the MLP's inner layer (Liu et al. 2022)"}},
          {"adapter_h", bottleneck(attach_adapter_h, "bottleneck adapters around the MLP (Houlsby et al. 2019)")},
          {"adapter_p", bottleneck(attach_adapter_p, "bottleneck adapters after the MLP (Pfeiffer et al. 2021)")},
          {"adapter_parallel", bottleneck(attach_adapter_parallel, "bottleneck adapters beside the attention's projections (He et al. 2022)")},
          {"adalora",
           {.attach = attach_adalora,
            .complete = complete_lora,
            .peft_type = "ADALORA",
            .write_config = write_adalora_config,
            .read_config = read_adalora_config,
            .make_rule = adalora_rule,
            .take_state = take_adalora_state,
            .keys = {"init_r", "target_r", "tinit", "tfinal", "delta_t", "beta1", "beta2", "orth_reg_weight", "alpha", "dropout", "target_modules",
                     "bias", "modules_to_save", "init", "adapter"},
            .result = "an adapter of the ranks that are kept; merges into the weights it updates",
            .summary = "updates by singular values, of which a budget over all layers is kept (Zhang et al. 2023)"}},
          {"prompt",
           {.attach = attach_prompt,
            .peft_type = "PROMPT_TUNING",
            .write_config = write_prompt_config,
            .read_config = read_prompt_config,
            .write_shape = write_prompt_shape,
            .keys = {"num_virtual_tokens", "prompt_init_text", "adapter"},
            .merges = false,
            .starts_unchanged = false,
            .result = "an adapter; no weight can stand for it, so it does not merge",
            .summary = "virtual tokens before each text (Lester et al. 2021)"}},
          {"p_tuning",
           {.attach = attach_p_tuning,
            .peft_type = "P_TUNING",
            .write_config = write_p_tuning_config,
            .read_config = read_p_tuning_config,
            .write_shape = write_prompt_shape,
            .keys = {"num_virtual_tokens", "encoder", "encoder_hidden_size", "encoder_num_layers", "dropout", "adapter"},
            .merges = false,
            .starts_unchanged = false,
            .result = "an adapter; no weight can stand for it, so it does not merge",
            .summary = "virtual tokens made by an encoder (Liu et al. 2021)"}},
          {"prefix",
           {.attach = attach_prefix,
            .peft_type = "PREFIX_TUNING",
            .write_config = write_prefix_config,
            .read_config = read_prefix_config,
            .write_shape = write_prompt_shape,
            .keys = {"num_virtual_tokens", "prefix_projection", "encoder_hidden_size", "adapter"},
            .merges = false,
            .starts_unchanged = false,
            .result = "an adapter; no weight can stand for it, so it does not merge",
            .summary = "keys and values before each text in every layer (Li & Liang 2021)"}},
      }};
  return table;
}

bool is_of_run(const std::string& key) { return key == "adapter" || key == "init" || key == "lora_plus_ratio"; }

std::vector<std::string> readers_of(const std::string& key) {
  std::vector<std::string> readers;
  for (const auto& [name, method] : peft_methods())
    if (method.reads(key)) readers.push_back(name);
  return readers;
}

std::unique_ptr<StepRule> make_step_rule(CausalLm& model, const PeftOptions& options, std::span<Slice> slices, std::int64_t total_steps) {
  const auto make = peft_methods().at(options.method).make_rule;
  return make ? make(model, options, slices, total_steps) : nullptr;
}

}  // namespace herd
