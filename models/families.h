#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/nn/causal_lm.h"

// Each family from its hub's `config.json`, on the meta device. The file of its name says what it is. @throws ConfigError naming the key.
namespace herd {

std::unique_ptr<CausalLm> make_llama(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_mistral(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_qwen2(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_qwen3(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_internlm(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_baichuan(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_gpt2(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_bloom(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_moss(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_phi(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_chatglm(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_chatglm2(const nlohmann::json& config);

/// 7B's class and 13B's are spelled differently.
std::string baichuan_architecture(const nlohmann::json& config);

/// InternLM's config in LLaMA's words: `bias` as attention_bias, `rotary` as rope_theta and rope_scaling.
nlohmann::json internlm_as_llama(nlohmann::json config);
/// A Mistral's config with its defaults written down.
nlohmann::json with_mistral_defaults(nlohmann::json config);

}  // namespace herd
