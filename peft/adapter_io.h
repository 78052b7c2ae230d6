#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "peft/peft_options.h"
#include "runtime/base/provenance.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/parameter_values.h"

// Hugging Face PEFT's adapter folder: adapter_config.json and adapter_model.safetensors; herd.json beside them says what the adapter
// belongs to.
namespace herd {

/// What an adapter was trained on.
struct AdapterBase {
  std::string path;         ///< the base model's folder, `base_model_name_or_path`
  std::string fingerprint;  ///< models/hub.h's; empty: not known
  ReadParameter read{};     ///< values of the base, where it is on the meta device
};

/// Writes the folder that PEFT reads, whole or not at all, in place of one that is there: the trained parameters under their names, in
/// their dtype. @param provenance becomes herd.json. @param values where they are not in the model's own memory.
/// @throws IoError; ConfigError where the method leaves no adapter.
void save_adapter(CausalLm& model, const PeftOptions& options, const std::string& base_path, const Provenance& provenance,
                  const std::filesystem::path& folder, const ParameterValues& values = {});

/// What adapter_config.json says, as options. @throws IoError where there is none or it is no JSON; ConfigError naming a method or a key
/// that herd does not compute.
PeftOptions read_adapter_options(const std::filesystem::path& folder);

/// Overwrites the trained parameters of a model with options attached. Biases that PEFT left out (it writes none for `lora_only`) stay as
/// they are, with a warning. Names of 2023 (the adapter's own inside, or no prefix) are understood.
/// @param read values of the base where it is on the meta device.
/// @throws IoError listing missing and unexpected tensors, ShapeError where shapes alone differ; the model is then untouched.
void load_adapter_weights(CausalLm& model, const std::filesystem::path& folder, const ReadParameter& read = {});

/// @throws ConfigError where herd.json says that the adapter was trained on another base. Where it says nothing, another name only warns.
void check_adapter_base(const std::filesystem::path& folder, const AdapterBase& base);

/// All of it, on a freshly loaded base: checks, attaches, loads. @return the adapter's options.
/// @param dropout in place of the stored one, to go on training.
PeftOptions attach_adapter(CausalLm& model, const std::filesystem::path& folder, const AdapterBase& base,
                           std::optional<double> dropout = {});

}  // namespace herd
