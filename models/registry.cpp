#include "models/registry.h"

#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/hub_config.h"

namespace herd {
namespace {

using Words = std::map<std::string, std::string>;

Words same(std::initializer_list<const char*> words) {
  Words all;
  for (const auto* word : words) all[word] = word;
  return all;
}

Words joined(Words words, const Words& more) {
  words.insert(more.begin(), more.end());
  return words;
}

Words llama_words(std::initializer_list<const char*> more) {
  return joined(same({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                      "max_position_embeddings", "vocab_size", "rope_theta", "rms_norm_eps", "initializer_range", "tie_word_embeddings", "rope_scaling"}),
                same(more));
}

// GPT-2's, which its successors took over.
Words gpt_words(std::initializer_list<const char*> more) {
  return joined({{"hidden_size", "n_embd"},
                 {"intermediate_size", "n_inner"},
                 {"num_hidden_layers", "n_layer"},
                 {"num_attention_heads", "n_head"},
                 {"max_position_embeddings", "n_positions"},
                 {"vocab_size", "vocab_size"},
                 {"layer_norm_eps", "layer_norm_epsilon"},
                 {"initializer_range", "initializer_range"},
                 {"tie_word_embeddings", "tie_word_embeddings"}},
                same(more));
}

Family like_llama(std::unique_ptr<CausalLm> (*make)(const nlohmann::json&), std::string architecture, std::initializer_list<const char*> more,
                  std::string tested_against = "transformers") {
  return {.make = make,
          .architecture = std::move(architecture),
          .tied_head = "lm_head.weight",
          .ignored = {"rotary_emb.inv_freq"},
          .tested_against = std::move(tested_against),
          .words = llama_words(more)};
}

Family baichuan() {
  auto family = like_llama(make_baichuan, "BaiChuanForCausalLM", {}, "a reference model and one of its own");
  family.words.erase("num_key_value_heads");  // as many as query heads
  family.architecture_of = baichuan_architecture;
  return family;
}

Family moss(std::string architecture) {
  return {.make = make_moss,
          .architecture = std::move(architecture),
          .tied_head = "lm_head.weight",
          .ignored = {"attn.causal_mask", "attn.bias", "attn.masked_bias"},
          .tested_against = "transformers' CodeGen",
          .words = gpt_words({"rotary_dim"})};
}

}  // namespace

const Table<Family>& families() {
  static const Table<Family> table{
      "model family",
      {
          {"llama", like_llama(make_llama, "LlamaForCausalLM", {"attention_bias", "mlp_bias"})},
          {"mistral", like_llama(make_mistral, "MistralForCausalLM", {"sliding_window"})},
          {"qwen2", like_llama(make_qwen2, "Qwen2ForCausalLM", {})},
          {"qwen3", like_llama(make_qwen3, "Qwen3ForCausalLM", {"attention_bias"})},
          {"internlm", like_llama(make_internlm, "InternLMForCausalLM", {}, "transformers' LLaMA with biases")},
          {"baichuan", baichuan()},
          {"gpt2",
           {.make = make_gpt2,
            .architecture = "GPT2LMHeadModel",
            .tied_head = "lm_head.weight",
            .ignored = {".attn.bias", ".attn.masked_bias"},
            .tested_against = "transformers",
            .words = gpt_words({})}},
          {"bloom",
           {.make = make_bloom,
            .architecture = "BloomForCausalLM",
            .tied_head = "lm_head.weight",
            .tested_against = "transformers",
            .words = {{"hidden_size", "hidden_size"},
                      {"num_hidden_layers", "n_layer"},
                      {"num_attention_heads", "n_head"},
                      {"max_position_embeddings", "seq_length"},
                      {"vocab_size", "vocab_size"},
                      {"layer_norm_eps", "layer_norm_epsilon"},
                      {"initializer_range", "initializer_range"},
                      {"tie_word_embeddings", "tie_word_embeddings"}}}},
          {"moss", moss("MossForCausalLM")},
          {"codegen", moss("CodeGenForCausalLM")},
          {"phi",
           {.make = make_phi,
            .architecture = "PhiForCausalLM",
            .tied_head = "lm_head.weight",
            .ignored = {"rotary_emb.inv_freq"},
            .tested_against = "transformers",
            .words = same({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "max_position_embeddings",
                           "vocab_size", "rope_theta", "layer_norm_eps", "initializer_range", "tie_word_embeddings"})}},
          {"chatglm",
           {.make = make_chatglm,
            .architecture = "ChatGLMForConditionalGeneration",
            .tied_head = "lm_head.weight",
            .ignored = {"rotary_emb.inv_freq"},
            .tested_against = "a reference model and one of its own",
            .words = {{"hidden_size", "hidden_size"},
                      {"intermediate_size", "inner_hidden_size"},
                      {"num_hidden_layers", "num_layers"},
                      {"num_attention_heads", "num_attention_heads"},
                      {"max_position_embeddings", "max_sequence_length"},
                      {"vocab_size", "vocab_size"},
                      {"layer_norm_eps", "layernorm_epsilon"},
                      {"initializer_range", "initializer_range"},
                      {"tie_word_embeddings", "tie_word_embeddings"}}}},
          {"chatglm2",
           {.make = make_chatglm2,
            .architecture = "ChatGLMModel",
            .tied_head = "transformer.output_layer.weight",
            .ignored = {"rotary_pos_emb.inv_freq"},
            .tested_against = "a reference model and one of its own",
            .words = {{"hidden_size", "hidden_size"},
                      {"intermediate_size", "ffn_hidden_size"},
                      {"num_hidden_layers", "num_layers"},
                      {"num_attention_heads", "num_attention_heads"},
                      {"num_key_value_heads", "multi_query_group_num"},
                      {"head_dim", "kv_channels"},
                      {"max_position_embeddings", "seq_length"},
                      {"vocab_size", "padded_vocab_size"},
                      {"rms_norm_eps", "layernorm_epsilon"},
                      {"initializer_range", "initializer_range"},
                      {"attention_bias", "add_qkv_bias"},
                      {"mlp_bias", "add_bias_linear"},
                      {"tie_word_embeddings", "tie_word_embeddings"}},
            .model_type = "chatglm",
            .marked_by = "padded_vocab_size"}},
      }};
  return table;
}

std::string family_of(const nlohmann::json& config) {
  const HubConfig c(config);
  if (!c.has("model_type"))
    throw ConfigError({.who = "config.json", .found = "no 'model_type'", .expected = "one of " + join(families().names()), .remedy = ""});
  const auto name = c.get<std::string>("model_type");
  for (const auto& other : families().names()) {
    const auto& family = families().at(other);
    if (family.model_type == name && c.has(family.marked_by)) return other;
  }
  (void)families().at(name);
  return name;
}

std::string architecture_of(const nlohmann::json& config) {
  const auto& family = families().at(family_of(config));
  return family.architecture_of ? family.architecture_of(config) : family.architecture;
}

std::unique_ptr<CausalLm> make_model(const nlohmann::json& config) {
  const auto name = family_of(config);
  auto model = families().at(name).make(config);
  model->facts.family = name;
  assign_names(*model);
  return model;
}

}  // namespace herd
