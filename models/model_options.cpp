#include "models/model_options.h"

#include <nlohmann/json.hpp>

#include "models/registry.h"

namespace herd {

void describe(Schema& s, RopeScalingOptions& o) {
  s.field("rope_type", o.rope_type, "how positions are stretched").one_of({"linear", "dynamic", "llama3"});
  s.field("factor", o.factor, "how many times longer the context becomes").at_least(1);
  s.field("low_freq_factor", o.low_freq_factor, "llama3: wavelengths longer than original/low are stretched in full").above(0);
  s.field("high_freq_factor", o.high_freq_factor, "llama3: wavelengths shorter than original/high are left alone").above(0);
  s.field("original_max_position_embeddings", o.original_max_position_embeddings, "llama3: context before stretching, in tokens")
      .at_least(1);
}

void RopeScalingOptions::validate() const {
  if (rope_type != "llama3") return;
  const auto need = [](const char* key, bool given) {
    if (!given) throw InvalidSetting(key, "null", "a value, because rope_type is llama3");
  };
  need("low_freq_factor", low_freq_factor.has_value());
  need("high_freq_factor", high_freq_factor.has_value());
  need("original_max_position_embeddings", original_max_position_embeddings.has_value());
  if (*high_freq_factor <= *low_freq_factor)
    throw InvalidSetting(
        "high_freq_factor", write_value(*high_freq_factor).text, "above low_freq_factor, which is " + write_value(*low_freq_factor).text);
}

void describe(Schema& s, ModelShape& o) {
  s.field("hidden_size", o.hidden_size, "width of the residual stream; required").at_least(1).known_as({"d_model", "n_embd", "dim"});
  s.field("intermediate_size", o.intermediate_size, "width of the feed-forward layer; 0: the family's").at_least(0).known_as({"ffn_dim", "d_ff"});
  s.field("num_hidden_layers", o.num_hidden_layers, "blocks; required").at_least(1).known_as({"layers", "n_layer"});
  s.field("num_attention_heads", o.num_attention_heads, "query heads; required").at_least(1).known_as({"heads", "n_head"});
  s.field("num_key_value_heads", o.num_key_value_heads, "key and value heads, a divisor of the query heads; null: as many").at_least(1);
  s.field("head_dim", o.head_dim, "width of a head, even; null: hidden_size / num_attention_heads").at_least(2);
  s.field("max_position_embeddings", o.max_position_embeddings, "longest context, in tokens; null: the family's").at_least(1);
  s.field("sliding_window", o.sliding_window, "tokens that a token sees, itself included; null: the family's").at_least(1);
  s.field("rotary_dim", o.rotary_dim, "elements of a head that RoPE turns, even (moss); null: the family's").at_least(2);
  s.field("vocab_size", o.vocab_size, "rows of the embedding; null: the tokenizer's tokens").at_least(1);
  s.field("rope_theta", o.rope_theta, "base of the rotary wavelengths; null: the family's").above(0);
  s.field("rms_norm_eps", o.rms_norm_eps, "added to the mean square before its root; null: the family's").above(0);
  s.field("layer_norm_eps", o.layer_norm_eps, "added to the variance before its root; null: the family's").above(0);
  s.field("initializer_range", o.initializer_range, "standard deviation of the random weights; null: the family's").above(0);
  s.field("tie_word_embeddings", o.tie_word_embeddings, "the head is the embedding; null: the family's");
  s.field("attention_bias", o.attention_bias, "biases on q, k, v and o; null: the family's");
  s.field("mlp_bias", o.mlp_bias, "biases in the feed-forward layer; null: the family's");
  s.optional_section("rope_scaling", o.rope_scaling, "RoPE beyond the trained context; null: none");
}

void ModelShape::validate() const {
  const auto need = [](const char* key, std::int64_t value) {
    if (value < 1) throw InvalidSetting(key, std::to_string(value), "at least 1: model.config builds a model and needs its size");
  };
  need("hidden_size", hidden_size);
  need("num_hidden_layers", num_hidden_layers);
  need("num_attention_heads", num_attention_heads);
  if (num_key_value_heads && num_attention_heads % *num_key_value_heads != 0)
    throw InvalidSetting("num_key_value_heads",
                         std::to_string(*num_key_value_heads),
                         "a divisor of num_attention_heads, which is " + std::to_string(num_attention_heads));
  if (!head_dim && hidden_size % num_attention_heads != 0)
    throw InvalidSetting(
        "hidden_size", std::to_string(hidden_size), "a multiple of num_attention_heads, which is " + std::to_string(num_attention_heads));
}

void describe(Schema& s, ModelOptions& o) {
  auto names = families().names();
  names.insert(names.begin(), "auto");
  s.field("path", o.path, "Hugging Face folder (config.json, safetensors, tokenizer), from the working folder; or a hub id, org/name or org/name@revision")
      .known_as({"model_name_or_path", "base_model"});
  s.field("family", o.family, "architecture; auto: what config.json in path says").one_of(names).known_as({"model_type", "type"});
  s.choice("dtype",
           o.dtype,
           {{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"fp16", Precision::kFp16}},
           "number format of parameters and arithmetic; trained bf16 and fp16 parameters keep fp32 master copies")
      .known_as({"torch_dtype", "precision"});
  s.optional_section("quantization", o.quantization, "how the base is kept in few bits, as adapters are trained on it; null: dense")
      .known_as({"quantization_config", "quantization_bit", "load_in_4bit", "load_in_8bit", "storage"});
  s.optional_section(
      "config", o.config, "sizes of a model to build from random weights instead of path, named as in the hub's config.json");
  s.field("tokenizer", o.tokenizer, "folder or hub id of the tokenizer; empty: that of path").known_as({"tokenizer_name_or_path"});
  s.field("extend_vocab", o.extend_vocab,
          "file of a second SentencePiece model, whose new pieces go behind the tokenizer's own, their rows of embedding and head begun as "
          "means; empty: none");
  s.field("seed", o.seed, "seed of the random weights").at_least(0);
  s.field("device", o.device, "where the model runs; cuda: a GPU a rank").one_of({"cpu", "cuda"});
  s.field("threads", o.threads, "compute threads a rank; 0: the machine's cores divided by its ranks").range(0, 1024);
}

void ModelOptions::validate() const {
  if (!path.empty() && config)
    throw InvalidSetting(
        "path", "'" + path + "'", "empty where model.config builds a model", "keep one: model.path=\"\" or model.config=null");
  if (config && family == "auto")
    throw InvalidSetting("family", "auto", "a name where model.config builds a model: " + join(families().names()));
  if (!config) return;
  const auto& words = families().at(family).words;
  if (words.contains("rms_norm_eps") && config->intermediate_size < 1)  // the others take four times the width
    throw InvalidSetting("config.intermediate_size", "0", "at least 1: model.config builds a model and needs its size");
  const auto width = config->head_dim.value_or(config->hidden_size / config->num_attention_heads);
  if (words.contains("rope_theta") && width % 2 != 0)
    throw InvalidSetting(config->head_dim ? "config.head_dim" : "config.hidden_size",
                         std::to_string(config->head_dim.value_or(config->hidden_size)), "an even width of a head, for RoPE");
}

namespace {

nlohmann::json rope_scaling(const RopeScalingOptions& rope) {
  nlohmann::json json{{"rope_type", rope.rope_type}, {"factor", rope.factor}};
  if (rope.low_freq_factor) json["low_freq_factor"] = *rope.low_freq_factor;
  if (rope.high_freq_factor) json["high_freq_factor"] = *rope.high_freq_factor;
  if (rope.original_max_position_embeddings) json["original_max_position_embeddings"] = *rope.original_max_position_embeddings;
  return json;
}

}  // namespace

nlohmann::json hub_config(const ModelOptions& options, std::int64_t tokens) {
  if (!options.config)
    throw ConfigError({.who = "'model.config'",
                       .found = "null",
                       .expected = "the sizes of a model to build",
                       .remedy = "(herd config --explain model.config)"});
  const auto& shape = *options.config;
  const auto& family = families().at(options.family);
  nlohmann::json json{{"model_type", family.model_type.empty() ? options.family : family.model_type}};
  const auto put = [&](const char* word, const auto& value) {
    if (!value) return;
    const auto key = family.words.find(word);
    if (key == family.words.end())
      throw ConfigError({.who = std::string("'model.config.") + word + "'",
                         .found = nlohmann::json(*value).dump(),
                         .expected = "null: " + options.family + " has no such setting",
                         .remedy = "(herd model list)"});
    json[key->second] = *value;
  };
  const auto given = [](std::int64_t size) { return size > 0 ? std::optional(size) : std::nullopt; };
  put("hidden_size", given(shape.hidden_size));
  put("intermediate_size", given(shape.intermediate_size));
  put("num_hidden_layers", given(shape.num_hidden_layers));
  put("num_attention_heads", given(shape.num_attention_heads));
  put("vocab_size", std::optional(shape.vocab_size.value_or(tokens)));
  put("num_key_value_heads", shape.num_key_value_heads);
  put("head_dim", shape.head_dim);
  put("max_position_embeddings", shape.max_position_embeddings);
  put("sliding_window", shape.sliding_window);
  put("rotary_dim", shape.rotary_dim);
  put("rope_theta", shape.rope_theta);
  put("rms_norm_eps", shape.rms_norm_eps);
  put("layer_norm_eps", shape.layer_norm_eps);
  put("initializer_range", shape.initializer_range);
  put("tie_word_embeddings", shape.tie_word_embeddings);
  put("attention_bias", shape.attention_bias);
  put("mlp_bias", shape.mlp_bias);
  if (shape.rope_scaling) put("rope_scaling", std::optional(rope_scaling(*shape.rope_scaling)));
  return json;
}

}  // namespace herd
