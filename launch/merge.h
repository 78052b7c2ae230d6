#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "peft/merge.h"

namespace herd {

struct MergeRequest {
  std::filesystem::path model, adapter, output;
  std::string dtype;                    ///< fp32, bf16 or fp16; empty: as the base's weights are stored
  std::string quantization;             ///< how the base is kept before its matrices become dense: a storage, or `dense`; empty: as in training
  bool force_base = false;              ///< merge into another base than the adapter's herd.json names
  std::optional<double> max_deviation;  ///< of a logit, relative; none: peft/merge.h's merge_bound
};

struct MergeReport {
  MergedMatrices matrices{};
  std::string dtype;           ///< of the written weights
  std::string storage;         ///< of the base: "nf4 in blocks of 64, double quantised"; empty: dense
  MergeDeviation deviation{};  ///< of the folder's logits from those of base, as it was kept, and adapter; both computed in fp32
  double bound = 0;            ///< on its relative()
  double adapter_effect = 0;   ///< max |logit of base and adapter − logit of the base|
};

/// Writes base and adapter as one dense Hugging Face folder: weights, config, the base's tokenizer files, herd.json. The folder is read back and
/// compared with base and adapter before it takes its name. @throws ConfigError where the adapter's method has no weights; IoError where the output
/// is there already or the deviation is beyond the bound, and whatever loading throws; nothing is left behind then.
MergeReport merge_folders(const MergeRequest& request);

}  // namespace herd
