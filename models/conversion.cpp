#include "models/conversion.h"

#include <algorithm>
#include <array>

#include "models/families.h"
#include "models/hub_config.h"
#include "models/row_map.h"

namespace herd {
namespace {

constexpr std::array kPacked{"q_proj.weight", "k_proj.weight", "v_proj.weight"};
constexpr const char* kPack = "W_pack.weight";

[[noreturn]] void refuse(const HubConfig& c, const std::string& key, const std::string& found, const std::string& expected) {
  throw ConfigError({.who = c.who(key), .found = found, .expected = expected, .remedy = "this model computes something else: keep its family"});
}

nlohmann::json named(nlohmann::json config, const char* family) {
  config["model_type"] = family;
  for (const auto* key : {"architectures", "auto_map"}) config.erase(key);  // of the other family's code
  return config;
}

/// Its W_pack is q, k and v, one below the other.
StoredModel baichuan_to_llama(const StoredModel& source) {
  const HubConfig c(source.config);
  if (!c.has("max_position_embeddings")) refuse(c, "max_position_embeddings", "nothing", "the trained length of a model with RoPE (Baichuan-7B); 13B has ALiBi");
  if (constexpr std::int64_t kBaichuan2 = 125696; c.size("vocab_size") == kBaichuan2)
    refuse(c, "vocab_size", "Baichuan2's", "the first Baichuan-7B: the second one normalises its head");
  std::map<std::string, DerivedTensor> derived;
  for (const auto& name : source.weights->names()) {
    if (!name.ends_with(kPack)) {
      derived.emplace(name, renamed({source.weights, name}));
      continue;
    }
    const auto block = name.substr(0, name.size() - std::string_view(kPack).size());
    const auto rows = rows_of(source.weights->info(name));
    if (rows % 3 != 0) refuse(c, "hidden_size", "a " + name + " of " + std::to_string(rows) + " rows", "three of one size");
    for (std::size_t i = 0; i < kPacked.size(); ++i) {
      const auto first = static_cast<std::int64_t>(i) * (rows / 3);
      derived.emplace(block + kPacked[i], by_rows({{source.weights, name}}, rows / 3, [first](std::int64_t row) { return RowPlace{0, first + row}; }));
    }
  }
  return {named(source.config, "llama"), std::make_shared<const Weights>(std::move(derived), "W_pack as q, k, v")};
}

StoredModel llama_to_baichuan(const StoredModel& source) {
  const auto json = with_rope_scaling(source.config);
  const HubConfig c(json);
  if (c.get<bool>("attention_bias", false) || c.get<bool>("mlp_bias", false)) refuse(c, "attention_bias", "biases", "none: Baichuan has none");
  if (c.get<bool>("tie_word_embeddings", false)) refuse(c, "tie_word_embeddings", "true", "false, as Baichuan's");
  if (c.size("num_key_value_heads", c.size("num_attention_heads")) != c.size("num_attention_heads"))
    refuse(c, "num_key_value_heads", std::to_string(c.size("num_key_value_heads")), "as many as query heads: Baichuan has no groups");
  if (c.has("rope_scaling") || c.get<double>("rope_theta", 10000) != 10000) refuse(c, "rope_theta", "another RoPE", "the plain one of Baichuan-7B");
  std::map<std::string, DerivedTensor> derived;
  for (const auto& name : source.weights->names()) {
    const auto* part = std::find_if(kPacked.begin(), kPacked.end(), [&](const char* end) { return name.ends_with(end); });
    if (part == kPacked.end()) {
      derived.emplace(name, renamed({source.weights, name}));
    } else if (part == kPacked.begin()) {
      const auto block = name.substr(0, name.size() - std::string_view(kPacked[0]).size());
      std::vector<StoredAs> parts;
      for (const auto* end : kPacked) parts.push_back({source.weights, block + end});
      derived.emplace(block + kPack, stacked(std::move(parts)));
    }
  }
  auto config = named(json, "baichuan");
  config["max_position_embeddings"] = c.size("max_position_embeddings", 2048);
  return {config, std::make_shared<const Weights>(std::move(derived), "q, k, v as W_pack")};
}

/// The first InternLM: the same names, with biases beside q, k, v and o.
StoredModel internlm_to_llama(const StoredModel& source) {
  return {named(internlm_as_llama(source.config), "llama"), source.weights};
}

StoredModel mistral_to_llama(const StoredModel& source) {
  const auto json = with_mistral_defaults(source.config);
  const HubConfig c(json);
  if (c.has("sliding_window") && c.size("sliding_window") < c.size("max_position_embeddings"))
    refuse(c, "sliding_window", std::to_string(c.size("sliding_window")), "none, or one as long as the context: LLaMA has no window");
  auto config = named(json, "llama");
  config.erase("sliding_window");
  return {config, source.weights};
}

}  // namespace

const Table<Conversion>& conversions() {
  static const Table<Conversion> table{
      "conversion",
      {
          {"baichuan-llama", {"baichuan", "llama", "Baichuan-7B's W_pack as q, k, v", baichuan_to_llama}},
          {"llama-baichuan", {"llama", "baichuan", "q, k, v as W_pack", llama_to_baichuan}},
          {"internlm-llama", {"internlm", "llama", "the first InternLM: LLaMA with attention biases", internlm_to_llama}},
          {"mistral-llama", {"mistral", "llama", "a Mistral without a window", mistral_to_llama}},
      }};
  return table;
}

StoredModel as_family(const StoredModel& source, const std::string& family) {
  const auto from = HubConfig(source.config).get<std::string>("model_type");
  if (from == family) return source;
  std::vector<std::string> known;
  for (const auto& [name, conversion] : conversions()) {
    if (conversion.from == from && conversion.to == family) return conversion.convert(source);
    known.push_back(conversion.from + " to " + conversion.to);
  }
  throw ConfigError({.who = "a " + from + " as " + family, .found = "no conversion", .expected = "one of " + join(known), .remedy = ""});
}

}  // namespace herd
