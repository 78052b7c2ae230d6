#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/gptq_folder.h"
#include "models/model_options.h"
#include "runtime/base/provenance.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/parameter_values.h"
#include "runtime/tensor/weights.h"

namespace herd {

/// A model, its weights, and where it came from.
struct LoadedModel {
  std::unique_ptr<CausalLm> model;
  ReadParameter read;       ///< where the values of parameters on the meta device come from, by the Parameter's place in the model
  std::string config;       ///< the hub's `config.json`, as text
  std::string fingerprint;  ///< see hub_fingerprint; that of the dense base, however it is kept
  std::optional<GptqConfig> gptq{};  ///< how its folder's own layers are quantised; none: they are dense there
};

at::ScalarType scalar_type(Precision precision);

/// `config.json` of a Hugging Face folder. @param family a name of families(), or auto: what the file says.
/// The quantize_config.json beside it becomes its `quantization_config`.
/// @throws IoError where there is none or it is no JSON object; ConfigError where the weights are quantised otherwise than by GPTQ.
std::string read_hub_config(const std::filesystem::path& folder, const std::string& family = "auto");

/// The model that `config` (the text of a config.json) describes, on the meta device.
std::unique_ptr<CausalLm> make_model_from(const std::string& config);

/// The tensors of a Hugging Face folder (see open_weights), of one of Meta's under Hugging Face's names, or of the one file that GPTQ's tools left.
/// @throws IoError where there are none.
Weights open_hub_weights(const std::filesystem::path& folder);

/// The name that a model's tensor has among stored ones: its own, or without its first part, as folders saved without the head leave it out
/// (transformers' base_model_prefix; BLOOM's do).
std::string stored_name(const CausalLm& model, const Weights& weights, const std::string& name);

/// Where each parameter of a model lies among tensors, and what does not fit.
struct HubMatch {
  std::vector<std::pair<const Parameter*, std::string>> places;
  std::vector<std::string> missing, unexpected, misshapen;
  std::vector<std::string> ignored;  ///< buffers that the family computes itself

  std::string problems() const;  ///< the first three, each on a line; "" where there are none
};
/// A tied matrix may be stored under either name; and the first part of all names (`model.`) may be left out.
HubMatch match(CausalLm& model, const Weights& weights);

/// Tells a base model from others: 128-bit XXH3 over each parameter's name, shape, stored dtype and content, in the names' order.
/// Of tensors above 64 KiB it reads 16 stretches of 4 KiB spread evenly, both ends included: a 7B model costs some milliseconds and a
/// single changed element may pass unseen, a trained one never. It does not depend on shards or on the dtype the model runs in.
std::string hub_fingerprint(CausalLm& model, const Weights& weights);

/// Compares a tied model's embedding and head where its files hold both. @throws IoError where they differ. @param who what the error calls it.
void check_tied(CausalLm& model, const Weights& weights, const std::string& who);

/// Whether a tokenizer of `tokens` ids belongs to the model: none beyond the embedding's rows, and no more rows without a token than
/// padding to a round number leaves (127, or 5 % of them). @param who what the error calls the tokenizer. @return rows without a token.
/// @throws ConfigError with both sizes.
std::int64_t check_vocabulary(const ModelFacts& facts, std::int64_t tokens, const std::string& who);

/// Puts GPTQ storages in the place of the layers that a folder's files keep so, and gives its tensors under the names of their parts; where there are
/// none, the same tensors. @param found what the files say. @throws as keep_gptq.
std::shared_ptr<const Weights> keep_as_stored(CausalLm& model, const std::string& config, const std::shared_ptr<const Weights>& weights,
                                              const std::string& who, std::optional<GptqConfig>& found);

/// A config.json and its tensors as a model on the meta device, which says where its values come from: the files' pages, converted to `dtype`.
/// @throws IoError listing all missing and unexpected tensors, ShapeError where shapes alone differ. @param who what errors call it.
LoadedModel open_stored_model(const std::string& config, const std::shared_ptr<const Weights>& weights, at::ScalarType dtype, const std::string& who);
/// The same of a Hugging Face folder, or one of Meta's.
LoadedModel open_hub_folder(const std::filesystem::path& folder, at::ScalarType dtype, const std::string& family = "auto");
/// The same with its values, kept in few bits where `quantization` says how.
LoadedModel load_hub_folder(const std::filesystem::path& folder, at::ScalarType dtype, const std::string& family = "auto",
                            const std::optional<QuantOptions>& quantization = std::nullopt);

/// What a run's `model` section asks for, on the meta device: a folder's model, or one of random weights (fingerprint: of its config, dtype
/// and seed). Each rank then reads what it keeps (see fill).
/// @param tokens the tokenizer's vocabulary, for a config that names no vocab_size; read only there.
/// @throws ConfigError where the options name neither a folder nor a config.
LoadedModel open_model(const ModelOptions& options, std::int64_t tokens);

/// Keeps an opened model's layers as a recipe asks; none: as they are. @param folder where the model lies; empty: random weights.
/// @throws ConfigError where the folder is quantised already as something else, or is dense and to be kept as only herd quantize can.
void keep_as_asked(LoadedModel& opened, const std::optional<QuantOptions>& asked, const std::string& folder);

/// The same of a model on the meta device whose values nobody asks for: as its config says, else as `asked`.
void keep_as_told(CausalLm& model, const std::string& config, const std::optional<QuantOptions>& asked, const std::string& folder);

/// The same where values are not asked for: a folder may lack its weights; the fingerprint is empty then, and `read` too.
LoadedModel describe_model(const ModelOptions& options, std::int64_t tokens);

struct HubSave {
  std::vector<std::filesystem::path> copies;  ///< files to put beside the weights: the tokenizer's, generation_config.json, code
  std::optional<Provenance> provenance;       ///< becomes herd.json
  std::optional<std::int64_t> bos, eos, pad;  ///< token ids for config.json, where it names none
  std::uint64_t max_shard_bytes = std::uint64_t{5'000'000'000};
  std::map<std::string, NamedTensors> instead{};  ///< tensors in the place of a parameter, by its name
  bool replace = false;                       ///< take the place of a folder that is there
  ParameterValues values;                     ///< where they are not in the model's own memory
  std::function<void(const std::filesystem::path& folder)> beside{};  ///< writes more files beside the weights
};

/// Writes a folder that transformers and `load_hub_folder` read: config.json, safetensors in the parameters' dtype, copies.
/// All or nothing: a neighbour is written, synced and renamed. @param config text of the config.json that the model was made from.
/// @throws IoError; also where `folder` is there, is not empty and is not to be replaced; ConfigError for a model that is kept in few bits.
void save_hub_folder(CausalLm& model, const std::string& config, const std::filesystem::path& folder, const HubSave& save = {});

}  // namespace herd
