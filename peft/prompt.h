#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "peft/method.h"

// The methods whose trained numbers are a side input: n virtual tokens, or n keys and values a layer.
namespace herd {

/// Prompt tuning (Lester et al. 2021): the embeddings of virtual tokens before each text, as they are.
void attach_prompt(CausalLm& model, const PeftOptions& options, const PeftStart& start);
/// P-tuning (Liu et al. 2021): the same, made by an encoder while they are trained.
void attach_p_tuning(CausalLm& model, const PeftOptions& options, const PeftStart& start);
/// Prefix tuning (Li & Liang 2021; P-tuning v2, Liu et al. 2022): keys and values before each text in every layer, maybe by way of a projection
/// while they are trained. ChatGLM's do not take up positions, as in its own P-tuning; other families' do, as in PEFT.
void attach_prefix(CausalLm& model, const PeftOptions& options, const PeftStart& start);

/// Brings a loaded prefix of BLOOM that PEFT wrote in 2023 into today's order: it held the keys of all layers and then the values of all.
void reorder_old_bloom_prefix(CausalLm& model);

void write_prompt_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_prompt_config(const nlohmann::json& json, PeftOptions& options);
void write_p_tuning_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_p_tuning_config(const nlohmann::json& json, PeftOptions& options);
void write_prefix_config(const PeftOptions& options, nlohmann::ordered_json& json);
void read_prefix_config(const nlohmann::json& json, PeftOptions& options);

/// The keys that are the model's: `token_dim`, `num_layers`, `num_attention_heads`, an encoder's width and a tokenizer where they were left open.
void write_prompt_shape(const CausalLm& model, const std::string& base_path, nlohmann::ordered_json& json);

}  // namespace herd
