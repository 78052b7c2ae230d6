#pragma once
#include <string>
#include <vector>

#include "runtime/net/hub_fetch.h"

namespace herd {

/// What a command reads of a repository, and so what is fetched of it.
enum class HubUse {
  kModel,   ///< config, tokenizer, weights: safetensors, else PyTorch's, else Meta's
  kConfig,  ///< the same without weights
  kTokenizer,
  kAdapter,
};
/// Those files among a repository's. @throws IoError (of the one that selects) where one that cannot be done without is missing.
SelectFiles files_for(HubUse use);
/// The JSON and JSON-lines files of a data set.
std::vector<std::string> record_files(const std::vector<std::string>& names);

}  // namespace herd
