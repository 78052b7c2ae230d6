#include "launch/near_arguments.h"

#include <CLI/CLI.hpp>

namespace herd {

NearBound NearArguments::bound() const {
  if (rouge) return {.by = NearBound::By::kRouge, .bound = *rouge};
  if (bm25) return {.by = NearBound::By::kBm25, .bound = *bm25};
  if (near) return {.by = NearBound::By::kSketch, .bound = *near};
  if (any) return {.by = NearBound::By::kOff, .bound = 0};
  return {};
}

void declare(CLI::App& command, NearArguments& arguments) {
  auto* rouge = command.add_option("--rouge", arguments.rouge, "instructions are near duplicates above this ROUGE-L (0.7, the default)");
  auto* bm25 = command.add_option("--bm25", arguments.bm25, "or above this BM25 (18 in BELLE)");
  auto* near = command.add_option("--near", arguments.near, "or from this share of common five-character pieces on (0.8)");
  auto* any = command.add_flag("--any", arguments.any, "or never");
  for (auto* one : {rouge, bm25, near, any})
    for (auto* other : {rouge, bm25, near, any})
      if (one != other) one->excludes(other);
}

}  // namespace herd
