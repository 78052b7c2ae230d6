#pragma once
#include <cstdint>
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

  void validate() const;
  bool operator==(const PeftOptions&) const = default;
};

void describe(Schema& s, PeftOptions& o);

}  // namespace herd
