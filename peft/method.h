#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace herd {

class CausalLm;
struct PeftOptions;

/// A PEFT method: one file, one line in registry.cpp. docs/how-to-add-a-method.md walks through one.
struct PeftMethod {
  /// Decides what of a model, which may be on the meta device, is trained: freezes, fills slots, adds parameters (initialised by (seed, name),
  /// fp32 where the model is bf16 or fp16) and gives each trained parameter the name that it has in PEFT's `adapter_model.safetensors`.
  /// Without a seed new parameters stay on the meta device: their shapes alone are wanted.
  /// @throws ConfigError naming targets that the model does not have, with the nearest ones.
  void (*attach)(CausalLm& model, const PeftOptions& options, std::optional<std::uint64_t> seed) = nullptr;
  std::string peft_type;  ///< in adapter_config.json; empty: the method leaves a whole model and no adapter
  /// The method's keys of adapter_config.json, all that PEFT writes. The keys every method has are adapter_io's.
  void (*write_config)(const PeftOptions& options, nlohmann::ordered_json& json) = nullptr;
  /// The way back. @throws ConfigError naming a key whose value this method cannot follow.
  void (*read_config)(const nlohmann::json& json, PeftOptions& options) = nullptr;
  std::string summary;
};

}  // namespace herd
