#pragma once
#include <filesystem>

#include "launch/run_parts.h"

namespace herd {

struct ConsolidateRequest {
  std::filesystem::path checkpoint;  ///< a step-N, or a run's folder: its latest
  std::filesystem::path output;      ///< new or empty
  std::filesystem::path base;        ///< where the base model lies now; for a run of random weights its tokenizer. Empty: where the run found it.
};

struct ConsolidateReport {
  std::int64_t step = 0;
  bool adapter = false;
};

/// Writes what a checkpoint holds as the folder that the run would have written at that step, byte for byte: the model, or the adapter.
/// The model is never in memory: its values pass through in pieces of some MiB, and each checksum is compared.
/// @throws IoError (a damaged checkpoint, an output that is there), ConfigError where base or tokenizer are not the run's. Nothing is left
/// behind then.
ConsolidateReport consolidate(const ConsolidateRequest& request);

/// The values of a run's parameters, to write them: a checkpoint's, and the base's of those that were not trained.
/// @throws IoError for one that neither holds.
ParameterValues values_in(const std::filesystem::path& checkpoint, const ReadParameter& base);

}  // namespace herd
