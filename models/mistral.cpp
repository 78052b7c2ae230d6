// Mistral 7B (Jiang et al. 2023): LLaMA with eight key/value heads and, in its first version, a sliding window.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {

std::unique_ptr<CausalLm> make_mistral(const nlohmann::json& config) {
  auto with_defaults = config;
  with_defaults.emplace("num_key_value_heads", 8);
  with_defaults.emplace("max_position_embeddings", 131072);
  with_defaults.emplace("sliding_window", 4096);
  const HubConfig c(with_defaults);
  auto o = read_llama_options(c);
  o.windows = read_windows(c, o.layers, 0);
  return make_llama_model(o);
}

}  // namespace herd
