#include "parallel/comm/dry.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "parallel/comm/operation.h"

namespace herd {
namespace {

// Holds the buffers as long as a caller could wait for them, as other backends do.
struct Arrived final : Pending {
  explicit Arrived(Operation entered) : operation(std::move(entered)) {}
  void wait() override {}
  bool done() const override { return true; }
  Operation operation;
};

// Bytes that `rank` sends to `peer`.
std::int64_t sent_to(const Operation& o, int rank, int peer) {
  const auto width = o.input.defined() ? static_cast<std::int64_t>(o.input.element_size()) : 1;
  const auto part = [&](int r) { return o.send_counts[static_cast<std::size_t>(r)] * width; };
  const bool small = o.bytes() <= kSmallBytes;
  switch (o.kind) {
    case CommKind::kAllReduce: return small ? o.bytes() : part(peer) + part(rank);
    case CommKind::kReduceScatter: return part(peer);
    case CommKind::kAllGather: return part(rank);
    case CommKind::kAllToAll: return part(peer);
    case CommKind::kBarrier: return 1;
    case CommKind::kBroadcast: {
      const bool is_root = rank == o.root;
      if (small || o.send_counts.size() == 2) return is_root ? o.bytes() : 0;
      return (is_root ? part(peer) : 0) + (peer == o.root ? 0 : part(rank));
    }
    case CommKind::kSplit: break;
  }
  return 0;
}

std::vector<int> all_ranks(int ranks, int nodes) {
  if (nodes < 1 || ranks % nodes != 0)
    throw ConfigError({.who = "--nodes",
                       .found = std::to_string(nodes) + " for " + std::to_string(ranks) + " ranks",
                       .expected = "a divisor of the ranks: as many on each node"});
  std::vector<int> members(static_cast<std::size_t>(ranks));
  std::iota(members.begin(), members.end(), 0);
  return members;
}

}  // namespace

DryCommunicator::DryCommunicator(int rank, int ranks, int nodes)
    : Communicator(rank, ranks, {}), nodes_(nodes), ranks_a_node_(ranks / std::max(nodes, 1)), members_(all_ranks(ranks, nodes)),
      traffic_(std::make_shared<Traffic>()) {}

DryCommunicator::DryCommunicator(const DryCommunicator& whole, int rank, std::vector<int> members)
    : Communicator(rank, static_cast<int>(members.size()), whole.options()), nodes_(whole.nodes_), ranks_a_node_(whole.ranks_a_node_),
      members_(std::move(members)), traffic_(whole.traffic_) {}

std::shared_ptr<Pending> DryCommunicator::start(Operation operation) {
  if (operation.kind == CommKind::kAllGather && operation.output.is_cpu()) {
    const auto equal = std::all_of(operation.send_counts.begin(), operation.send_counts.end(),
                                   [&](auto count) { return count == operation.send_counts.front(); });
    if (!equal) throw std::logic_error("a dry all_gather of parts that differ");
    operation.output.view({size(), -1}).copy_(operation.input.view({1, -1}).expand({size(), -1}));
  }
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    const auto bytes = sent_to(operation, rank(), peer);
    (node_of(peer) == node_of(rank()) ? traffic_->inside : traffic_->across) += static_cast<std::uint64_t>(bytes);
    count_sent(operation, bytes);
  }
  return std::make_shared<Arrived>(std::move(operation));
}

std::unique_ptr<Communicator> DryCommunicator::split_by(const std::function<SplitPlace(const RankPlace&)>& rule) {
  const auto place_of = [&](int r) { return rule({r, local_rank_of(r), node_of(r)}); };
  const auto mine = place_of(rank());
  std::vector<std::pair<int, int>> group;  // key, rank
  for (int r = 0; r < size(); ++r)
    if (const auto place = place_of(r); place.color == mine.color) group.emplace_back(place.key, r);
  std::sort(group.begin(), group.end());
  std::vector<int> members;
  int own = 0;
  for (const auto& [key, r] : group) {
    if (r == rank()) own = static_cast<int>(members.size());
    members.push_back(members_[static_cast<std::size_t>(r)]);
  }
  return std::unique_ptr<Communicator>(new DryCommunicator(*this, own, std::move(members)));
}

std::unique_ptr<Communicator> DryCommunicator::start_split(Operation, int, int, CommOptions) {
  throw std::logic_error("a dry communicator splits by a rule");
}

}  // namespace herd
