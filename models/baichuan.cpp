// Baichuan-7B and 13B (Yang et al. 2023): LLaMA with q, k and v in one matrix. 7B has RoPE, 13B ALiBi; their configs differ in that only 7B's names
// max_position_embeddings, 13B's model_max_length alone.
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "models/llama_parts.h"

namespace herd {
namespace {

bool is_13b(const nlohmann::json& config) { return !config.contains("max_position_embeddings") && config.contains("model_max_length"); }

}  // namespace

std::string baichuan_architecture(const nlohmann::json& config) { return is_13b(config) ? "BaichuanForCausalLM" : "BaiChuanForCausalLM"; }

std::unique_ptr<CausalLm> make_baichuan(const nlohmann::json& config) {
  constexpr std::int64_t kVocabOfVersion2 = 125696;
  auto json = config;
  const bool alibi = is_13b(json);
  if (alibi) json["max_position_embeddings"] = json["model_max_length"];
  const HubConfig c(json);
  auto o = read_llama_options(c);
  if (o.vocab == kVocabOfVersion2)
    throw ConfigError({.who = c.who("vocab_size"),
                       .found = std::to_string(o.vocab) + ", that of Baichuan2",
                       .expected = "a Baichuan 1 model; version 2 normalises its head, which is not computed here",
                       .remedy = ""});
  if (c.get<std::int64_t>("num_key_value_heads", o.h) != o.h)
    throw ConfigError({.who = c.who("num_key_value_heads"), .found = std::to_string(o.k), .expected = "as many as query heads", .remedy = ""});
  o.packed_qkv = true;
  o.alibi = alibi;
  return make_llama_model(o);
}

}  // namespace herd
