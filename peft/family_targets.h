#pragma once
#include <string>
#include <vector>

#include "runtime/base/registry.h"

namespace herd {

/// Which linear layers the methods change where a recipe names none, by the ends of their names.
struct FamilyTargets {
  std::vector<std::string> lora{};                    ///< AdaLoRA's too
  std::vector<std::string> ia3{}, ia3_feedforward{};  ///< those of `ia3` that are scaled at their input
  std::vector<std::string> attention_in{};            ///< what makes queries, keys and values
  std::vector<std::string> mlp_in{}, mlp_out{};
};

/// A line a model family: PEFT's own tables where they have it. A family without one has no defaults.
const Table<FamilyTargets>& family_targets();

}  // namespace herd
