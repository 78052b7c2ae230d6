#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "runtime/nn/gptq_matrix.h"

namespace herd {

struct QuantiseRequest {
  std::filesystem::path model;        ///< a Hugging Face folder of either weight format, or one of Meta's; dense
  std::filesystem::path output;       ///< new or empty
  std::filesystem::path calibration;  ///< a text file, or records
  std::filesystem::path evaluate;     ///< likewise; empty: the last part of the calibration file
  std::string method = "gptq";        ///< gptq, or rtn: round to nearest
  GptqOptions options;
  std::int64_t samples = 128;
  std::optional<std::int64_t> tokens;  ///< of a window; else 2048, or the model's context where that is less
  std::string dtype = "fp32";         ///< of the arithmetic
  std::function<void(const std::string& layer, double error)> on_layer;
};

struct QuantiseReport {
  std::size_t layers = 0, shown = 0, held_out = 0;  ///< windows of `tokens`
  std::int64_t tokens = 0;
  double perplexity_before = 0, perplexity_after = 0;
};

/// Writes a dense model with the linear layers of its blocks quantised, as AutoGPTQ and transformers have it: qweight, qzeros, scales and g_idx, what
/// else there is as it was stored, quantization_config, quantize_config.json. The head and the embedding stay dense.
/// Whole or not at all. @throws ConfigError where the model is quantised already or a layer does not fit; DataError for texts; IoError.
QuantiseReport quantise_folder(const QuantiseRequest& request);

}  // namespace herd
