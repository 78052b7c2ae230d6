#pragma once
#include <memory>

#include "runtime/base/registry.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/quantise_options.h"
#include "runtime/nn/quantised_weight.h"

namespace herd {

/// A storage: one class, one line in quantise.cpp.
struct StorageEntry {
  std::unique_ptr<QuantisedWeight> (*make)(const Parameter& dense, const QuantOptions& options) = nullptr;
  std::string summary;
};
/// Every storage but the dense one, by its name in `model.quantization.method`.
const Table<StorageEntry>& weight_storages();

/// A linear layer's dense matrix as storages take it: [out, in], whichever way it lies.
Parameter out_in(Linear& linear);

/// Puts quantised storages, on the meta device, in the place of the dense ones of a model on the meta device.
/// @param read where the dense values come from; may be empty where no values will be asked for.
/// @return where all values come from now: parts are quantised from the dense matrix as they are read, a stretch at a time, in fp32 whatever the
/// dtype the model runs in. @throws ConfigError where skip_modules names no linear layer, or a head that is the embedding were quantised.
ReadParameter quantise(CausalLm& model, const QuantOptions& options, const ReadParameter& read);

/// Numbers that a model's parameters hold, however they are kept.
struct Numbers {
  std::int64_t all = 0, trained = 0;
};
Numbers count_numbers(CausalLm& model);

}  // namespace herd
