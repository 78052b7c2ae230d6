// InternLM-7B (InternLM Team 2023): LLaMA with biases on q, k, v and o (`bias`). Its 8k version stretches RoPE by a word of its own, `rotary`.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {

nlohmann::json internlm_as_llama(nlohmann::json config) {
  const HubConfig c(config);
  const bool bias = c.get<bool>("bias", true);
  if (c.has("rotary")) {
    const auto rotary = c.part("rotary");
    const auto type = rotary.get<std::string>("type", "origin");
    const auto theta = rotary.get<double>("base", 10000.0), factor = rotary.get<double>("scaling_factor", 1.0);
    if (type != "origin" && type != "dynamic")
      throw ConfigError({.who = c.who("rotary") + ": 'type'", .found = "'" + type + "'", .expected = "origin or dynamic", .remedy = ""});
    config["rope_theta"] = theta;
    if (type == "dynamic") config["rope_scaling"] = {{"type", "dynamic"}, {"factor", factor}};
  }
  for (const auto* key : {"bias", "rotary"}) config.erase(key);
  config["attention_bias"] = bias;
  return config;
}

std::unique_ptr<CausalLm> make_internlm(const nlohmann::json& config) {
  const auto json = internlm_as_llama(config);
  const HubConfig c(json);
  auto o = read_llama_options(c);
  o.qkv_bias = o.o_bias = c.get<bool>("attention_bias");
  return make_llama_model(o);
}

}  // namespace herd
