#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace herd {

struct MergeRequest {
  std::filesystem::path model, adapter, output;
  std::string dtype;            ///< fp32, bf16 or fp16; empty: as the base's weights are stored
  bool force_base = false;      ///< merge into another base than the adapter's herd.json names
  std::optional<double> bound;  ///< on the relative deviation; none: peft/merge.h's merge_bound
};

struct MergeReport {
  std::int64_t merged = 0;    ///< weights that took an update in
  std::string dtype;          ///< of the written weights
  double deviation = 0;       ///< max |logit of the merged folder − logit of base and adapter|, both computed in fp32
  double scale = 0;           ///< max |logit of base and adapter|, at least 1
  double bound = 0;           ///< on deviation / scale
  double adapter_effect = 0;  ///< max |logit of base and adapter − logit of the base|
};

/// Writes base and adapter as one Hugging Face folder: weights, config, the base's tokenizer files, herd.json. The folder is read back and
/// compared with base and adapter before it takes its name. @throws IoError where the output is there already or the deviation is beyond
/// the bound, and whatever loading throws; nothing is left behind then.
MergeReport merge_folders(const MergeRequest& request);

}  // namespace herd
