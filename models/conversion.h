#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/base/registry.h"
#include "runtime/tensor/weights.h"

namespace herd {

/// A model as its files say it: the text of its config.json, parsed, and its tensors.
struct StoredModel {
  nlohmann::json config;
  std::shared_ptr<const Weights> weights;
};

/// How a model of one family is said as another that computes the same. The source need not be a family that herd trains.
struct Conversion {
  std::string from, to;  ///< model_type
  std::string what;      ///< for people
  StoredModel (*convert)(const StoredModel& source) = nullptr;
};

/// Every one, by `FROM-TO`.
const Table<Conversion>& conversions();

/// The model as one of `family`; itself where it is that. @throws ConfigError where no rule leads there, or this model does not fit the rule.
StoredModel as_family(const StoredModel& source, const std::string& family);

}  // namespace herd
