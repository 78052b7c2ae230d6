#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "runtime/base/registry.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// A model family: how to build it, on the meta device, from the hub's `config.json`.
struct Family {
  std::unique_ptr<CausalLm> (*make)(const nlohmann::json& config) = nullptr;
  std::string tested_against;  ///< the independent implementation that its parity test uses
};

/// Every family by its `model_type`.
const Table<Family>& families();

/// Builds the model that `config["model_type"]` names, on the meta device, names assigned.
/// @throws ConfigError naming the key that is missing or out of range.
std::unique_ptr<CausalLm> make_model(const nlohmann::json& config);

}  // namespace herd
