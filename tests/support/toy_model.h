#pragma once
#include <nlohmann/json.hpp>

#include "data/formatter.h"
#include "models/registry.h"
#include "runtime/base/random.h"

namespace herd::test {

inline constexpr std::int64_t kToyVocab = 61;

/// A LLaMA of two small blocks (grouped queries) with random weights by seed.
inline std::unique_ptr<CausalLm> toy_model(std::uint64_t seed = 1, const nlohmann::json& changes = {}, at::ScalarType dtype = at::kFloat) {
  nlohmann::json config{{"model_type", "llama"}, {"vocab_size", kToyVocab}, {"hidden_size", 24}, {"intermediate_size", 40},
                        {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"max_position_embeddings", 64},
                        {"tie_word_embeddings", true}, {"initializer_range", 0.2}};
  config.update(changes.is_null() ? nlohmann::json::object() : changes);
  auto model = make_model(config);
  materialise(*model, dtype);
  initialise(*model, seed);
  return model;
}

/// Examples of 4 to 13 tokens that can be learnt: each token is the one before it plus a step that the first one gives.
inline std::vector<Example> toy_examples(std::int64_t count, std::uint64_t seed = 7) {
  std::vector<Example> examples;
  Random random(seed, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    Example example;
    const auto length = 4 + static_cast<int>(random.below(10));
    const auto stride = static_cast<TokenId>(1 + random.below(4));
    auto token = static_cast<TokenId>(stride);
    for (int k = 0; k < length; ++k, token = static_cast<TokenId>((token + stride) % kToyVocab)) {
      example.tokens.push_back(token);
      example.supervised.push_back(k >= 2);
    }
    example.supervised_tokens = length - 2;
    examples.push_back(example);
  }
  return examples;
}

}  // namespace herd::test
