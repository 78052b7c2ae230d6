#pragma once
#include <memory>
#include <vector>

#include "models/decoder.h"
#include "models/hub_config.h"

// What the families that follow LLaMA share. b batch, t tokens, d model, h heads, k key/value heads, e head dim, f feed-forward
namespace herd {

/// The sizes and settings of a model of LLaMA's kind. A family reads the common ones and sets its own.
struct LlamaOptions {
  std::int64_t vocab = 0, d = 0, f = 0, layers = 0, h = 0, k = 0, e = 0;
  double eps = 1e-6, init_std = 0.02;
  bool tied = false;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool packed_qkv = false;            ///< q, k and v are one matrix, `W_pack` (Baichuan)
  bool qk_norm = false;               ///< RMSNorm over each head of q and k before RoPE (Qwen3)
  bool alibi = false;                 ///< in RoPE's place (Baichuan-13B)
  std::vector<std::int64_t> windows;  ///< one a layer, 0: sees all before it; empty: all do
  RopeOptions rope;
};

/// The keys that all of them have: sizes, eps, RoPE with its scalings, activation. @throws ConfigError where they do not fit together.
LlamaOptions read_llama_options(const HubConfig& c);

/// Sliding windows as Mistral and Qwen write them: `layer_types` where it is given, else `sliding_window` from layer `first` on.
/// @return one a layer; empty where no layer has one.
std::vector<std::int64_t> read_windows(const HubConfig& c, std::int64_t layers, std::int64_t first);

std::unique_ptr<CausalLm> make_llama_model(const LlamaOptions& options);

}  // namespace herd
