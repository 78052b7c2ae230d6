#pragma once
#include <optional>

#include "infer/instruct/near.h"

namespace CLI {
class App;
}

namespace herd {

/// `--rouge BOUND`, `--bm25 BOUND`, `--near BOUND` or `--any`: at most one of them; ROUGE-L above 0.7 without any.
struct NearArguments {
  std::optional<double> rouge, bm25, near;
  bool any = false;

  NearBound bound() const;
};

void declare(CLI::App& command, NearArguments& arguments);

}  // namespace herd
