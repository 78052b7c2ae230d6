#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/tensor/weights.h"

// LLaMA as Meta publishes it: `params.json` and `consolidated.00.pth` …, one file a rank of the tensor-parallel model that trained it
// (facebookresearch/llama, model.py; transformers' convert_llama_weights_to_hf.py says how its rotary pairs map).
namespace herd {

/// Whether the folder is one of those.
bool is_meta_folder(const std::filesystem::path& folder);

/// The `config.json` that says the same as params.json and the tensors' shapes. @throws IoError, ConfigError.
nlohmann::json meta_config(const std::filesystem::path& folder);

/// Its tensors under Hugging Face's names: shards put together, and in q and k each head's rotary pairs (2j, 2j+1) moved to (j, j + e/2).
/// @throws IoError where a shard is missing or broken, ShapeError where shards do not fit together.
Weights open_meta_weights(const std::filesystem::path& folder);

/// The way back: tensors of a LLaMA in Hugging Face's names under Meta's, in one shard.
/// @param config its config.json. @throws ConfigError for what Meta's model cannot say (biases, other RoPE scalings, a head dim of its own).
Weights as_meta_weights(std::shared_ptr<const Weights> weights, const nlohmann::json& config);
/// Its params.json.
nlohmann::json meta_params(const nlohmann::json& config);

}  // namespace herd
