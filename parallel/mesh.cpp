#include "parallel/mesh.h"

#include <ATen/ATen.h>

#include <functional>
#include <string>

namespace herd {
namespace {

// Nodes of different sizes would hold parts of different sizes: the same part would not be on one rank of each.
void need_equal_nodes(Communicator& world) {
  auto sizes = at::empty({world.size()}, at::kLong);
  world.all_gather(sizes, at::full({1}, world.local_size(), at::kLong)).wait();
  const auto least = sizes.min().item<std::int64_t>(), most = sizes.max().item<std::int64_t>();
  if (least == most) return;
  throw ConfigError({.who = "parallel.shard_degree",
                     .found = "nodes of " + std::to_string(least) + " to " + std::to_string(most) + " ranks",
                     .expected = "as many ranks on each node",
                     .remedy = "start as many on each, or set parallel.shard_degree to a divisor of " + std::to_string(world.size()),
                     .everywhere = true});
}

}  // namespace

Mesh make_mesh(Communicator& world, std::int64_t shard_degree) {
  using Rule = std::function<SplitPlace(const RankPlace&)>;
  Rule column = [](const RankPlace& r) { return SplitPlace{r.node_rank, r.local_rank}; };
  if (shard_degree == 0) {
    need_equal_nodes(world);
    shard_degree = world.local_size();
  } else {
    if (shard_degree > world.size() || world.size() % shard_degree != 0)
      throw ConfigError({.who = "parallel.shard_degree",
                         .found = std::to_string(shard_degree) + " on " + std::to_string(world.size()) + " ranks",
                         .expected = "a divisor of the number of ranks",
                         .remedy = "start another number of ranks, or set a divisor",
                         .everywhere = true});
    column = [degree = static_cast<int>(shard_degree)](const RankPlace& r) { return SplitPlace{r.rank / degree, r.rank % degree}; };
  }
  Mesh mesh;
  if (shard_degree == world.size()) {
    mesh.shard = &world;
    return mesh;
  }
  mesh.owned_shard = world.split_by(column);
  mesh.shard = mesh.owned_shard.get();
  if (shard_degree == 1) {
    mesh.replicas = &world;
    return mesh;
  }
  mesh.owned_replicas = world.split_by([&](const RankPlace& r) {
    const auto [across, along] = column(r);
    return SplitPlace{along, across};
  });
  mesh.replicas = mesh.owned_replicas.get();
  return mesh;
}

}  // namespace herd
