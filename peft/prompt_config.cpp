// The keys of adapter_config.json that PEFT 0.18 writes for its prompt learning methods (peft/tuners/prompt_tuning, p_tuning and prefix_tuning there).
#include <nlohmann/json.hpp>

#include "peft/peft_json.h"
#include "peft/peft_options.h"
#include "peft/prompt.h"
#include "runtime/nn/causal_lm.h"

namespace herd {
namespace {

const std::vector<std::pair<PromptEncoderKind, std::string>> kEncoders{{PromptEncoderKind::kMlp, "MLP"}, {PromptEncoderKind::kLstm, "LSTM"}};

nlohmann::ordered_json or_null(std::int64_t value) { return value > 0 ? nlohmann::ordered_json(value) : nlohmann::ordered_json(); }

void write_common(const PeftOptions& o, nlohmann::ordered_json& json) {
  json["num_virtual_tokens"] = o.num_virtual_tokens;
  json["num_transformer_submodules"] = 1;
  json["modules_to_save"] = nullptr;
}

// The model's shape is told by the tensor itself.
void read_common(PeftJson& reader, PeftOptions& o) {
  reader.read("num_virtual_tokens", o.num_virtual_tokens);
  if (o.num_virtual_tokens < 1) reader.refuse("num_virtual_tokens", "at least 1");
  std::int64_t submodules = 1;
  reader.read("num_transformer_submodules", submodules);
  if (submodules != 1) reader.refuse("num_transformer_submodules", "1, as causal models have it");
  for (const auto* key : {"token_dim", "num_layers", "num_attention_heads"}) reader.ignore(key);
}

void finish(PeftJson& reader) { reader.refuse_others(nlohmann::ordered_json::object()); }

}  // namespace

void write_prompt_shape(const CausalLm& model, const std::string& base_path, nlohmann::ordered_json& json) {
  const auto& f = model.facts;
  const bool keys_and_values = json.contains("prefix_projection");
  const auto token_dim = keys_and_values ? f.kv_heads * f.head_dim : f.hidden_size;
  json["token_dim"] = token_dim;
  json["num_layers"] = model.blocks.size();
  json["num_attention_heads"] = keys_and_values ? f.kv_heads : f.hidden_size / f.head_dim;
  if (json.contains("encoder_hidden_size") && json["encoder_hidden_size"].is_null()) json["encoder_hidden_size"] = token_dim;
  if (json.contains("prompt_tuning_init") && json["prompt_tuning_init"] == "TEXT") json["tokenizer_name_or_path"] = base_path;
}

void write_prompt_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  write_common(o, json);
  const bool text = !o.prompt_init_text.empty();
  json["prompt_tuning_init"] = text ? "TEXT" : "RANDOM";
  json["prompt_tuning_init_text"] = text ? nlohmann::ordered_json(o.prompt_init_text) : nlohmann::ordered_json();
  json["tokenizer_name_or_path"] = nullptr;
  json["tokenizer_kwargs"] = nullptr;
}

// How the table began is nothing that it does not say itself; a text is kept for whoever reads the folder next.
void read_prompt_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  read_common(reader, o);
  reader.read("prompt_tuning_init_text", o.prompt_init_text);
  for (const auto* key : {"prompt_tuning_init", "tokenizer_name_or_path", "tokenizer_kwargs"}) reader.ignore(key);
  finish(reader);
}

void write_p_tuning_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  write_common(o, json);
  json["encoder_hidden_size"] = or_null(o.encoder_hidden_size);
  json["encoder_num_layers"] = o.encoder_num_layers;
  json["encoder_dropout"] = o.dropout;
  for (const auto& [kind, name] : kEncoders)
    if (kind == o.encoder) json["encoder_reparameterization_type"] = name;
}

void read_p_tuning_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  read_common(reader, o);
  reader.read("encoder_hidden_size", o.encoder_hidden_size);
  reader.read("encoder_num_layers", o.encoder_num_layers);
  reader.read("encoder_dropout", o.dropout);
  std::string encoder = "MLP";
  reader.read("encoder_reparameterization_type", encoder);
  const auto found = std::find_if(kEncoders.begin(), kEncoders.end(), [&](const auto& e) { return e.second == encoder; });
  if (found == kEncoders.end()) reader.refuse("encoder_reparameterization_type", "MLP or LSTM");
  o.encoder = found->first;
  finish(reader);
}

void write_prefix_config(const PeftOptions& o, nlohmann::ordered_json& json) {
  write_common(o, json);
  json["prefix_projection"] = o.prefix_projection;
  json["encoder_hidden_size"] = or_null(o.encoder_hidden_size);
}

void read_prefix_config(const nlohmann::json& json, PeftOptions& o) {
  PeftJson reader(json);
  read_common(reader, o);
  reader.read("prefix_projection", o.prefix_projection);
  reader.read("encoder_hidden_size", o.encoder_hidden_size);
  finish(reader);
}

}  // namespace herd
