// Mistral 7B (Jiang et al. 2023): LLaMA with eight key/value heads and, in its first version, a sliding window.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {

nlohmann::json with_mistral_defaults(nlohmann::json config) {
  config.emplace("num_key_value_heads", 8);
  config.emplace("max_position_embeddings", 131072);
  config.emplace("sliding_window", 4096);
  return config;
}

std::unique_ptr<CausalLm> make_mistral(const nlohmann::json& config) {
  const auto json = with_mistral_defaults(config);
  const HubConfig c(json);
  auto o = read_llama_options(c);
  o.windows = read_windows(c, o.layers, 0);
  return make_llama_model(o);
}

}  // namespace herd
