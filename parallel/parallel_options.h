#pragma once
#include <cstdint>
#include <string>

#include "runtime/base/config.h"

namespace herd {

/// What gradients are while ranks send them to each other.
enum class ReduceDtype { kFp32, kBf16 };

/// What is kept in host memory instead of the device's.
enum class Offload { kNone, kOptimizer, kParameters };

/// The `parallel` section of a run: how the work is spread over ranks.
struct ParallelOptions {
  std::string strategy = "ddp";
  std::int64_t bucket_bytes = 16 << 20;  ///< gradients that travel together, where parameters are whole
  bool overlap = true;                   ///< communicate while computing; false: wait for each operation where it starts
  std::int64_t prefetch = 1;             ///< blocks gathered ahead, where parameters are in parts
  bool reduce_each_micro_batch = true;   ///< where gradients are in parts; false: kept whole until the step's last micro-batch
  ReduceDtype reduce_dtype = ReduceDtype::kFp32;
  std::int64_t shard_degree = 0;         ///< hsdp: ranks that share a copy of the states; 0: those of a node
  Offload offload = Offload::kNone;
  std::string backend = "auto";          ///< a name in backends() (parallel/comm/backends.h), or auto
  bool check = false;                    ///< compare operation, shape and dtype over all ranks before data moves
  double timeout_s = 600;                ///< how long a collective waits for the last rank
  double load_timeout_s = 3600;          ///< the same while ranks load: before the first step
  double save_timeout_s = 3600;          ///< the same while a checkpoint or the result is written; half of it for the last rank's file

  bool operator==(const ParallelOptions&) const = default;
};

/// The `checkpoint` section of a run: when its state is saved, what is kept, where it goes on from.
struct CheckpointOptions {
  Every every = Every::epochs(1);
  std::int64_t keep = 3;
  std::string resume = "none";  ///< none, auto (the run folder's latest, if any) or a checkpoint's folder
  bool save_best = true;
  bool async = true;  ///< write beside the training, from a copy in memory

  bool operator==(const CheckpointOptions&) const = default;
};

/// The model.device that a value of `backend` is for; empty for auto, which is for any.
std::string device_of_backend(const std::string& backend);

void describe(Schema& s, ParallelOptions& o);
void describe(Schema& s, CheckpointOptions& o);

}  // namespace herd
