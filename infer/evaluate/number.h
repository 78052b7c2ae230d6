#pragma once
#include <nlohmann/json.hpp>

namespace herd {

/// A number of a file of ours. JSON knows no infinity, which is written as null: it reads as `infinity`, the one that may stand there.
template <class Json>
double number_or(const Json& json, double infinity) {
  return json.is_null() ? infinity : json.template get<double>();
}

}  // namespace herd
