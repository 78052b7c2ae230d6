#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace herd {

class CausalLm;
class StepRule;
struct Parameter;
struct Slice;
struct PeftOptions;
struct PeftStart;

/// A PEFT method: one file, one line in registry.cpp. docs/how-to-add-a-method.md walks through one.
struct PeftMethod {
  /// Decides what of a model, which may be on the meta device, is trained: freezes, fills slots, adds parameters (initialised by (seed, name),
  /// fp32 where the model is bf16 or fp16) and gives each trained parameter the name that it has in PEFT's `adapter_model.safetensors`.
  /// @throws ConfigError naming targets that the model does not have, with the nearest ones; saying why a family is not for this method.
  void (*attach)(CausalLm& model, const PeftOptions& options, const PeftStart& start) = nullptr;
  /// Fills in what a recipe left to the family, such as `target_modules`; null: nothing. @throws ConfigError where the family says nothing.
  void (*complete)(PeftOptions& options, const std::string& family) = nullptr;
  std::string peft_type{};  ///< in adapter_config.json; empty: the method leaves a whole model and no adapter
  /// The method's keys of adapter_config.json, all that PEFT writes. The keys every method has are adapter_io's.
  void (*write_config)(const PeftOptions& options, nlohmann::ordered_json& json) = nullptr;
  /// The way back. @throws ConfigError naming a key whose value this method cannot follow.
  void (*read_config)(const nlohmann::json& json, PeftOptions& options) = nullptr;
  /// A trained parameter's learning rate over the run's; null: 1.
  double (*learning_rate_factor)(const PeftOptions& options, const Parameter& parameter) = nullptr;
  /// Of the keys of adapter_config.json, what the model says; null: nothing.
  void (*write_shape)(const CausalLm& model, const std::string& base_path, nlohmann::ordered_json& json) = nullptr;
  /// What it does at an optimizer's step of a run of so many, over the slices that this rank updates; null: nothing.
  std::unique_ptr<StepRule> (*make_rule)(CausalLm& model, const PeftOptions& options, std::span<Slice> slices, std::int64_t total_steps) = nullptr;
  /// What StepRule::state says of the folder.
  void (*take_state)(const std::string& state, PeftOptions& options) = nullptr;
  std::string marked_by{};  ///< a key that tells the method where adapter_config.json names no type
  std::vector<std::string> keys{};  ///< of the `peft` section, all that the method reads beside `method`
  bool merges = true;               ///< one matrix a layer can stand for base and adapter
  bool starts_unchanged = true;     ///< a new adapter answers as the base does
  std::string result{};             ///< what it leaves and what merging makes of it, for `herd peft`
  std::string summary{};

  bool reads(const std::string& key) const { return std::find(keys.begin(), keys.end(), key) != keys.end(); }
};

}  // namespace herd
