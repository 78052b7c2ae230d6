#pragma once
#include <functional>
#include <map>

#include "launch/calibration.h"
#include "models/hub.h"
#include "runtime/nn/gptq_matrix.h"

namespace herd {

/// How the layers of a model's blocks are brought to few bits.
struct BlockQuantiser {
  GptqOptions options;
  bool to_nearest = false;  ///< without looking at inputs (round-to-nearest), to compare with
  std::function<void(const std::string& layer, double error)> on_layer;  ///< after each, with output_error()
};

struct QuantisedBlocks {
  std::map<std::string, GptqMatrix> layers;    ///< by name: `model.layers.0.mlp.up_proj`
  double perplexity_before = 0, perplexity_after = 0;  ///< of the held-out windows
};

/// Goes through the blocks of a model that lies in files, one after another: a block's values are read, its layers' inputs are looked at as the quantised
/// blocks before it give them, its layers are quantised, and what is shown goes on through what they have become. In memory are one block, the Hessians of
/// its layers, the hidden states of all windows, and what has been quantised.
/// @param loaded its values on the meta device, where they are again when this returns.
QuantisedBlocks quantise_blocks(const LoadedModel& loaded, const Calibration& calibration, const BlockQuantiser& how);

}  // namespace herd
