// Qwen2 and Qwen2.5 (Yang et al. 2024): LLaMA with biases on q, k and v. Qwen3 (Yang et al. 2025): no biases, an RMSNorm over each head of q and k.
// Both can give their upper layers a sliding window.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {
namespace {

nlohmann::json with_defaults(nlohmann::json config) {
  config.emplace("num_key_value_heads", 32);
  config.emplace("max_position_embeddings", 32768);
  config.emplace("sliding_window", 4096);
  config.emplace("max_window_layers", 28);
  return config;
}

std::vector<std::int64_t> windows(const HubConfig& c, std::int64_t layers) {
  return c.get<bool>("use_sliding_window", false) ? read_windows(c, layers, c.get<std::int64_t>("max_window_layers")) : std::vector<std::int64_t>();
}

}  // namespace

std::unique_ptr<CausalLm> make_qwen2(const nlohmann::json& config) {
  const auto json = with_defaults(config);
  const HubConfig c(json);
  auto o = read_llama_options(c);
  o.qkv_bias = true;
  o.windows = windows(c, o.layers);
  return make_llama_model(o);
}

std::unique_ptr<CausalLm> make_qwen3(const nlohmann::json& config) {
  auto json = with_defaults(config);
  json.emplace("head_dim", 128);
  const HubConfig c(json);
  auto o = read_llama_options(c);
  o.qkv_bias = o.o_bias = c.get<bool>("attention_bias", false);
  o.qk_norm = true;
  o.windows = windows(c, o.layers);
  return make_llama_model(o);
}

}  // namespace herd
