#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// Which biases a method trains besides its own weights; PEFT's `bias`.
enum class TrainedBiases { kNone, kAll, kLoraOnly };

/// The `peft` section of a run: what is trained of the model. The names are those of PEFT's `adapter_config.json`, without `lora_`.
struct PeftOptions {
  std::string method = "none";                            ///< none: every parameter is trained
  std::int64_t r = 8;
  double alpha = 16;                                      ///< the update is scaled by alpha / r
  bool use_rslora = false;                                ///< alpha / √r instead
  double dropout = 0;
  OneOrMany target_modules{{"q_proj", "v_proj"}, false};  ///< a list of suffixes of module names, or one pattern for whole names
  TrainedBiases bias = TrainedBiases::kNone;
  std::vector<std::string> modules_to_save;
  std::string adapter;                                    ///< a PEFT folder to start from, which says the rest; empty: a new adapter
  bool init = true;

  void validate() const;
  bool operator==(const PeftOptions&) const = default;
};

void describe(Schema& s, PeftOptions& o);

}  // namespace herd
