#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "runtime/base/config.h"
#include "runtime/nn/quantise_options.h"

namespace herd {

/// The number format of a model's parameters and its arithmetic.
enum class Precision { kFp32, kBf16, kFp16 };

/// How RoPE is stretched beyond the length it was trained for; the hub's `rope_scaling`.
struct RopeScalingOptions {
  std::string rope_type = "linear";
  double factor = 1;
  std::optional<double> low_freq_factor, high_freq_factor;
  std::optional<std::int64_t> original_max_position_embeddings;

  void validate() const;
  bool operator==(const RopeScalingOptions&) const = default;
};

/// A model to build from random weights, in the words of LLaMA's `config.json` for every family. What is absent takes its family's default; what the
/// family does not have (Family::words) is refused.
struct ModelShape {
  std::int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  std::optional<std::int64_t> num_key_value_heads, head_dim, max_position_embeddings, vocab_size, sliding_window, rotary_dim;
  std::optional<double> rope_theta, rms_norm_eps, layer_norm_eps, initializer_range;
  std::optional<bool> tie_word_embeddings, attention_bias, mlp_bias;
  std::optional<RopeScalingOptions> rope_scaling;

  void validate() const;
  bool operator==(const ModelShape&) const = default;
};

/// The `model` section of a run: which model, in which numbers, on which device.
struct ModelOptions {
  std::string path;                  ///< a Hugging Face folder, in a recipe also a hub id; empty where `config` builds one
  std::string family = "auto";       ///< a name in families() (models/registry.h), or auto: what `path`/config.json says
  Precision dtype = Precision::kFp32;
  std::optional<QuantOptions> quantization;  ///< null: dense
  std::optional<ModelShape> config;
  std::string tokenizer;             ///< a folder; empty: `path`
  std::string extend_vocab;          ///< a second SentencePiece model, whose new pieces are added; empty: none
  std::int64_t seed = 0;             ///< of the random weights
  std::string device = "cpu";
  std::int64_t threads = 0;          ///< a rank; 0: the machine's cores divided by its ranks

  void validate() const;
  bool operator==(const ModelOptions&) const = default;
};

void describe(Schema& s, RopeScalingOptions& o);
void describe(Schema& s, ModelShape& o);
void describe(Schema& s, ModelOptions& o);

/// `model.config` as the hub's `config.json` that make_model() takes. @param tokens the vocabulary, where the config names none.
/// @throws ConfigError where the options hold no config, or one with words that the family does not have.
nlohmann::json hub_config(const ModelOptions& options, std::int64_t tokens);

}  // namespace herd
