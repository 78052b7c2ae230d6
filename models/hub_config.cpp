#include "models/hub_config.h"

#include <fmt/format.h>

namespace herd {
namespace {

// Sizes are so bounded that no product of a tensor's, and no sum over a model's, leaves 63 bits.
constexpr NumberRange kBlocks{1, 10'000}, kHeads{1, 4096}, kHeadWidth{1, 4096}, kWidth{1, 1 << 22}, kTokens{1, 1 << 24}, kPositions{1, 2147483648.0};
constexpr NumberRange kId{0, 1 << 24}, kEps{0, 1}, kTheta{1, 1e12}, kStretch{1, 1e6}, kWavelengths{1e-3, 1e6}, kDeviation{0, 100}, kPart{1e-3, 1},
    kResidual{1e-3, 1e3};

/// Every number that a family reads, by its keys in config.json, in the objects within it, and in Meta's params.json.
const std::map<std::string, NumberRange>& ranges() {
  static const std::map<std::string, NumberRange> table{
      {"num_hidden_layers", kBlocks}, {"num_layers", kBlocks}, {"n_layer", kBlocks}, {"n_layers", kBlocks}, {"max_window_layers", {0, 10'000}},
      {"num_attention_heads", kHeads}, {"num_key_value_heads", kHeads}, {"n_head", kHeads}, {"n_heads", kHeads}, {"n_kv_heads", kHeads},
      {"multi_query_group_num", kHeads},
      {"partial_rotary_factor", kPart}, {"head_dim", kHeadWidth}, {"kv_channels", kHeadWidth}, {"rotary_dim", kHeadWidth},
      {"hidden_size", kWidth}, {"n_embed", kWidth}, {"n_embd", kWidth}, {"dim", kWidth},
      {"intermediate_size", kWidth}, {"inner_hidden_size", kWidth}, {"ffn_hidden_size", kWidth}, {"n_inner", kWidth},
      {"vocab_size", kTokens}, {"padded_vocab_size", kTokens},
      {"max_position_embeddings", kPositions}, {"max_sequence_length", kPositions}, {"seq_length", kPositions}, {"n_positions", kPositions},
      {"max_seq_len", kPositions}, {"original_max_position_embeddings", kPositions}, {"sliding_window", kPositions},
      {"bos_token_id", kId}, {"gmask_token_id", kId}, {"mask_token_id", kId},
      {"rms_norm_eps", kEps}, {"layer_norm_epsilon", kEps}, {"layer_norm_eps", kEps}, {"layernorm_epsilon", kEps}, {"norm_eps", kEps},
      {"rope_theta", kTheta}, {"base", kTheta},
      {"factor", kStretch}, {"scaling_factor", kStretch}, {"rope_scaling_factor", kStretch}, {"rope_ratio", kStretch},
      {"low_freq_factor", kWavelengths}, {"high_freq_factor", kWavelengths},
      {"initializer_range", kDeviation}, {"deepnorm_alpha", kResidual},
  };
  return table;
}

}  // namespace

NumberRange range_of(const std::string& key) {
  const auto found = ranges().find(key);
  if (found != ranges().end()) return found->second;
  throw ConfigError({.who = "'" + key + "'",
                     .found = "no range for it",
                     .expected = "one in models/hub_config.cpp, as every number has that a family reads",
                     .remedy = ""});
}

std::string NumberRange::text() const { return fmt::format("from {} to {}", least, most); }

nlohmann::json parse_hub_json(const std::string& text, const std::string& who, const std::string& expected) {
  constexpr int kDepth = 100;  // printing recurses
  std::string key;
  const auto remember = [&](int depth, nlohmann::json::parse_event_t event, const nlohmann::json& value) {
    if (depth > kDepth)
      throw IoError({.who = who + ": '" + key + "'", .found = "more than " + std::to_string(kDepth) + " levels", .expected = expected, .remedy = ""});
    if (event == nlohmann::json::parse_event_t::key) key = value.get<std::string>();
    return true;
  };
  try {
    auto json = nlohmann::json::parse(text, remember);
    if (json.is_object()) return json;
  } catch (const nlohmann::json::exception& error) {
    throw IoError({.who = key.empty() ? who : who + ": after '" + key + "'",
                   .found = std::string("no JSON (") + error.what() + ")",
                   .expected = expected,
                   .remedy = "NaN and Infinity, which Python writes, are no JSON either"});
  }
  throw IoError({.who = who, .found = "no JSON object", .expected = expected});
}

}  // namespace herd
