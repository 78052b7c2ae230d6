// LLaMA 1/2/3, Vicuna, Alpaca, BELLE-LLaMA, airoboros, TinyLlama, SmolLM (Touvron et al. 2023; Llama 3 herd 2024): RMSNorm before each half of a
// block, RoPE in half-split pairs, grouped queries, SwiGLU, no biases unless the config asks for them.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {

std::unique_ptr<CausalLm> make_llama(const nlohmann::json& config) {
  const HubConfig c(config);
  auto o = read_llama_options(c);
  o.qkv_bias = o.o_bias = c.get<bool>("attention_bias", false);
  o.mlp_bias = c.get<bool>("mlp_bias", false);
  return make_llama_model(o);
}

}  // namespace herd
