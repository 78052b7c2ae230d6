#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "runtime/nn/causal_lm.h"

namespace herd {

/// LLaMA and what shares its graph; see llama.cpp.
std::unique_ptr<CausalLm> make_llama(const nlohmann::json& config);

}  // namespace herd
