#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "runtime/nn/causal_lm.h"

// Each family from its hub's `config.json`, on the meta device. The file of its name says what it is. @throws ConfigError naming the key.
namespace herd {

std::unique_ptr<CausalLm> make_llama(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_mistral(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_qwen2(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_qwen3(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_internlm(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_baichuan(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_bloom(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_moss(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_chatglm(const nlohmann::json& config);
std::unique_ptr<CausalLm> make_chatglm2(const nlohmann::json& config);

}  // namespace herd
