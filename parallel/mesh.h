#pragma once
#include <cstdint>
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

/// The ranks as a rectangle: each column holds one copy of the sharded states, rows hold the same part of them.
struct Mesh {
  Communicator* shard = nullptr;     ///< the ranks that share one copy
  Communicator* replicas = nullptr;  ///< the ranks with this rank's part; nullptr where there is one copy
  std::unique_ptr<Communicator> owned_shard, owned_replicas;
};

/// All ranks call it together. @param shard_degree ranks that share a copy; 0: those of a node.
/// @throws ConfigError on all ranks where the ranks, or the nodes, do not divide so.
Mesh make_mesh(Communicator& world, std::int64_t shard_degree);

}  // namespace herd
