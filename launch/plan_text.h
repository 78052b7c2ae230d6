#pragma once
#include <string>

#include "launch/plan.h"

namespace herd {

/// A plan for people.
std::string to_text(const Plan& plan, const RunConfig& config);
/// The same for programs: one JSON object, numbers in bytes.
std::string to_json(const Plan& plan, const RunConfig& config);

}  // namespace herd
