#pragma once
#include <nlohmann/json.hpp>

namespace herd::test {

/// The config.json of a LLaMA of width 8 and two blocks.
inline nlohmann::json small_config(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json config{{"model_type", "llama"}, {"vocab_size", 16}, {"hidden_size", 8}, {"intermediate_size", 12},
                        {"num_hidden_layers", 2}, {"num_attention_heads", 2}, {"num_key_value_heads", 1}, {"tie_word_embeddings", false}};
  config.update(changes);
  return config;
}

}  // namespace herd::test
