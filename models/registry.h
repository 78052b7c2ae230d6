#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "runtime/base/registry.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// A model family: how to build it, on the meta device, from the hub's `config.json`.
struct Family {
  std::unique_ptr<CausalLm> (*make)(const nlohmann::json& config) = nullptr;
  std::string architecture{};          ///< transformers' class, for the config.json that herd writes
  std::string tied_head{};             ///< the head's name in files, where it may stand for a tied embedding
  std::vector<std::string> ignored{};  ///< ends of names in files that hold no parameter: buffers that the family computes itself
  std::string tested_against{};        ///< the independent implementation that its parity test uses
  /// The words of `model.config` (ModelShape) that the family takes, each with its key in config.json.
  std::map<std::string, std::string> words{};
  std::string model_type{};       ///< in config.json, where it is not the family's name
  std::string marked_by{};        ///< the key that tells it from the family that is named like its model_type
  std::string (*architecture_of)(const nlohmann::json& config) = nullptr;  ///< where a family's models are of several classes
};

/// Every family by its name, which is its `model_type` but where two share one.
const Table<Family>& families();

/// The family that a config.json is of. @throws ConfigError where it names none, or an unknown one (with the nearest).
std::string family_of(const nlohmann::json& config);

/// The class of transformers, or of the folder's own code, that a config.json is of.
std::string architecture_of(const nlohmann::json& config);

/// Builds the model of that family, on the meta device, names assigned.
/// @throws ConfigError naming the key that is missing or out of range.
std::unique_ptr<CausalLm> make_model(const nlohmann::json& config);

}  // namespace herd
