#pragma once
#include <cstdint>
#include <string>

#include "runtime/base/config.h"

namespace herd {

/// The `parallel` section of a run: how the work is spread over ranks.
struct ParallelOptions {
  std::string strategy = "ddp";
  std::int64_t bucket_bytes = 16 << 20;  ///< gradients that travel together
  std::string backend = "auto";          ///< a name in backends() (parallel/comm/backends.h), or auto
  bool check = false;                    ///< compare operation, shape and dtype over all ranks before data moves
  double timeout_s = 600;                ///< how long a collective waits for the last rank

  bool operator==(const ParallelOptions&) const = default;
};

/// The `checkpoint` section of a run: when its state is saved, what is kept, where it goes on from.
struct CheckpointOptions {
  Every every = Every::epochs(1);
  std::int64_t keep = 3;
  std::string resume = "none";  ///< none, auto (the run folder's latest, if any) or a checkpoint's folder
  bool save_best = true;

  bool operator==(const CheckpointOptions&) const = default;
};

void describe(Schema& s, ParallelOptions& o);
void describe(Schema& s, CheckpointOptions& o);

}  // namespace herd
