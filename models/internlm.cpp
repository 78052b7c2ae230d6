// InternLM-7B (InternLM Team 2023): LLaMA with biases on q, k, v and o (`bias`). Its 8k version stretches RoPE by a word of its own, `rotary`.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {

std::unique_ptr<CausalLm> make_internlm(const nlohmann::json& config) {
  auto json = config;
  if (HubConfig(config).has("rotary")) {
    const auto rotary = HubConfig(config).part("rotary");
    const auto type = rotary.get<std::string>("type", "origin");
    json["rope_theta"] = rotary.get<double>("base", 10000.0);
    if (type == "dynamic") json["rope_scaling"] = {{"type", "dynamic"}, {"factor", rotary.get<double>("scaling_factor", 1.0)}};
    else if (type != "origin")
      throw ConfigError({.who = HubConfig(config).who("rotary") + ": 'type'", .found = "'" + type + "'", .expected = "origin or dynamic", .remedy = ""});
  }
  const HubConfig c(json);
  auto o = read_llama_options(c);
  o.qkv_bias = o.o_bias = c.get<bool>("bias", true);
  return make_llama_model(o);
}

}  // namespace herd
