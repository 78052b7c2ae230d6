#include "models/registry.h"

#include <nlohmann/json.hpp>

#include "models/hub_config.h"
#include "models/llama.h"

namespace herd {
namespace {

std::map<std::string, std::string> same(std::initializer_list<const char*> words) {
  std::map<std::string, std::string> all;
  for (const auto* word : words) all[word] = word;
  return all;
}

}  // namespace

const Table<Family>& families() {
  static const Table<Family> table{"model family",
                                   {
                                       {"llama",
                                        {.make = make_llama,
                                         .architecture = "LlamaForCausalLM",
                                         .tied_head = "lm_head.weight",
                                         .ignored = {"rotary_emb.inv_freq"},
                                         .tested_against = "transformers",
                                         .words = same({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                                                        "num_key_value_heads", "head_dim", "max_position_embeddings", "vocab_size", "rope_theta",
                                                        "rms_norm_eps", "initializer_range", "tie_word_embeddings", "attention_bias", "mlp_bias",
                                                        "rope_scaling"})}},
                                   }};
  return table;
}

std::unique_ptr<CausalLm> make_model(const nlohmann::json& config) {
  const HubConfig c(config);
  if (!c.has("model_type"))
    throw ConfigError({.who = "config.json", .found = "no 'model_type'", .expected = "one of " + join(families().names()), .remedy = ""});
  const auto name = c.get<std::string>("model_type");
  auto model = families().at(name).make(config);
  model->facts.family = name;
  assign_names(*model);
  return model;
}

}  // namespace herd
