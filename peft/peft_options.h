#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/config.h"
#include "runtime/base/config_numbers.h"

namespace herd {

/// Which biases a method trains besides its own weights; PEFT's `bias`.
enum class TrainedBiases { kNone, kAll, kLoraOnly };
/// How a new adapter begins: as no change at all, or at random; LoRA's factors also from the base's weights.
enum class AdapterInit { kNoChange, kRandom, kPissa, kOlora };
/// Between the two matrices of a bottleneck adapter.
enum class Activation { kTanh, kRelu, kGelu, kSilu };
/// What makes the virtual tokens of P-tuning while they are trained.
enum class PromptEncoderKind { kMlp, kLstm };

/// The `peft` section of a run: what is trained of the model. The names are those of PEFT's `adapter_config.json`, without `lora_`.
/// A method reads the keys that its line of the table lists.
struct PeftOptions {
  std::string method = "none";                ///< none: every parameter is trained
  std::int64_t r = 8;
  double alpha = 16;                          ///< the update is scaled by alpha / r
  bool use_rslora = false;                    ///< alpha / √r instead
  bool use_dora = false;
  NumbersByName rank_pattern, alpha_pattern;  ///< r and alpha of some layers
  std::vector<std::int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;
  double lora_plus_ratio = 1;                 ///< learning rate of B over that of A
  double dropout = 0;
  OneOrMany target_modules;                   ///< a list of suffixes of module names, or one pattern for whole names; empty: the family's
  OneOrMany feedforward_modules;              ///< IA3's targets that are scaled at their input; empty: the family's
  std::int64_t bottleneck_size = 256;
  Activation non_linearity = Activation::kTanh;
  double scaling = 1;                         ///< of a bottleneck adapter's output
  bool learn_scaling = false;
  std::int64_t trainable_blocks = 2;          ///< freeze trains the last so many; below zero the first
  std::vector<std::string> trainable_modules; ///< of those blocks; empty: all
  std::vector<std::string> trainable_parts;   ///< embedding, head, norms
  TrainedBiases bias = TrainedBiases::kNone;
  std::vector<std::string> modules_to_save;
  std::string adapter;                        ///< a PEFT folder to start from, which says the rest; empty: a new adapter
  AdapterInit init = AdapterInit::kNoChange;
  std::int64_t init_r = 12, target_r = 8;                 ///< AdaLoRA's ranks a layer: at first, and the mean at last
  std::int64_t tinit = 0, tfinal = 0, delta_t = 1;        ///< steps before ranks are given up, after the last are, and between two choices
  double beta1 = 0.85, beta2 = 0.85;                      ///< smoothing of a number's sensitivity and of how it varies
  double orth_reg_weight = 0.5;
  std::map<std::string, std::vector<bool>> kept_ranks;    ///< by layer, where some of init_r are left out: an adapter's, no recipe's
  std::int64_t total_steps = 0;                           ///< of the run that made it, to be told
  std::int64_t num_virtual_tokens = 20;                   ///< or, in a prefix, keys and values a layer
  std::string prompt_init_text;                           ///< whose tokens' embeddings virtual tokens begin as; empty: random ones
  bool prefix_projection = false;
  PromptEncoderKind encoder = PromptEncoderKind::kMlp;
  std::int64_t encoder_hidden_size = 0;                   ///< 0: as wide as what it makes
  std::int64_t encoder_num_layers = 2;                    ///< of an LSTM

  void validate() const;
  bool operator==(const PeftOptions&) const = default;
};

void describe(Schema& s, PeftOptions& o);

/// The keys that a run may say for itself, whatever adapter it goes on from, and how to take one over: AdaLoRA's course, and dropout.
const std::map<std::string, void (*)(PeftOptions& to, const PeftOptions& from)>& keys_of_a_course();

}  // namespace herd
