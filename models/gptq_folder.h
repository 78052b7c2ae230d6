#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/nn/quantise_options.h"
#include "runtime/tensor/weights.h"

// Folders whose linear layers GPTQ has quantised: Hugging Face's (`quantization_config` in config.json), AutoGPTQ's (`quantize_config.json`), and
// those of GPTQ-for-LLaMa, of whose settings only the tensors tell. Each layer is `qweight` int32 [in · bits / 32, out], `qzeros` int32
// [groups, out · bits / 32], `scales` [groups, out] and, but in the oldest, `g_idx` int32 [in].
namespace herd {

class CausalLm;

/// What a folder's config says of it.
struct GptqConfig {
  std::optional<std::int64_t> bits, group_size;
  bool zeros_less_one = true;  ///< of the first format; `gptq_v2` stores them as they are
};

/// `quantization_config` of a config.json; nothing where there is none. @param who what errors call the file.
/// @throws ConfigError for another method, or numbers that GPTQ does not have.
std::optional<GptqConfig> read_gptq_config(const nlohmann::json& config, const std::string& who);
/// A config.json with what the quantize_config.json beside it says, where it does not say it itself.
nlohmann::json with_quantize_config(nlohmann::json config, const std::filesystem::path& folder);

/// The one file of these names that AutoGPTQ or GPTQ-for-LLaMa would have called so (`gptq_model-4bit-128g.safetensors`, `llama7b-4bit-128g.pt`);
/// none where no file or several are.
std::optional<std::string> gptq_file_among(const std::vector<std::string>& names);
std::optional<std::filesystem::path> gptq_file_in(const std::filesystem::path& folder);

/// Whether any tensor is a quantised layer's.
bool holds_gptq(const Weights& weights);

/// Puts GPTQ storages, on the meta device, in the place of the layers that are quantised among `weights`.
/// @param stored the name under which a tensor of the model lies there. @param who what errors call the folder.
/// @return the tensors with each storage's parts in the place of the four. @throws ShapeError, IoError, ConfigError naming the layer.
std::shared_ptr<const Weights> keep_gptq(CausalLm& model, const std::shared_ptr<const Weights>& weights, const GptqConfig& config,
                                         const std::function<std::string(const std::string&)>& stored, const std::string& who);

/// What a folder's layers are kept as, for describe_quantisation().
QuantOptions as_options(const GptqConfig& config);
/// Refuses a recipe's or command line's wish that says something else than the folder. @throws ConfigError.
void check_storage(const QuantOptions& asked, const GptqConfig& config, const std::string& who);

}  // namespace herd
