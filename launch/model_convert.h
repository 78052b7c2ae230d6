#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace herd {

struct ConvertRequest {
  std::filesystem::path source;  ///< a Hugging Face folder of either weight format, or one of Meta's
  std::filesystem::path output;  ///< new or empty
  std::string dtype;             ///< fp32, bf16 or fp16; empty: as most of the weights are stored
  std::string format = "hf";     ///< hf: config.json and safetensors; meta: params.json and consolidated.00.pth
  std::string family;            ///< say the model as one of this family (models/conversion.h); empty: its own, for meta llama
  std::uint64_t max_shard_bytes = std::uint64_t{5'000'000'000};
};

struct ConvertReport {
  std::string family, dtype;
  std::int64_t parameters = 0;
};

/// Writes a model's folder in another form, whole or not at all. No more than a piece of some MiB is in memory.
/// @throws IoError (tensors that are missing or not finite; an output that is there), ConfigError (a form that cannot say this model).
ConvertReport convert_folder(const ConvertRequest& request);

}  // namespace herd
