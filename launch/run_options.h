#pragma once
#include <cstdint>
#include <string>

#include "runtime/base/config.h"

namespace herd {

/// The `run` section: where a run writes and how much it tells.
struct RunOptions {
  std::string folder = "runs";
  std::string name;             ///< of the run's own folder inside `folder`; empty: the date and a letter
  std::int64_t log_every = 10;  ///< optimizer steps
  bool tensorboard = true, plot = true;

  void validate() const;
  bool operator==(const RunOptions&) const = default;
};

void describe(Schema& s, RunOptions& o);

}  // namespace herd
