#pragma once
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

/// Bytes that a rank sends.
struct Traffic {
  std::uint64_t inside = 0;  ///< to ranks of its own node
  std::uint64_t across = 0;  ///< to other nodes
};

/// One rank of a job that does not exist, to plan with: operations complete at once, move nothing, and are counted by the link that they
/// would take. Tensors lie on the meta device; of one on the CPU every rank is taken to hold the same. Counts what the mpi backend sends
/// (comm/mpi_exchange.cpp), to the byte; nccl moves the same parts.
class DryCommunicator final : public Communicator {
 public:
  /// @param nodes that the ranks lie on, as many on each, in their order. @throws ConfigError where they do not divide so.
  DryCommunicator(int rank, int ranks, int nodes);

  std::string backend() const override { return "dry"; }
  int local_rank() const override { return local_rank_of(rank()); }
  int local_size() const override { return ranks_a_node_; }
  int node_rank() const override { return node_of(rank()); }
  int node_count() const override { return nodes_; }
  std::vector<at::Device> devices() const override { return {at::kMeta, at::kCPU}; }
  std::unique_ptr<Communicator> split_by(const std::function<SplitPlace(const RankPlace&)>& rule) override;

  /// What this rank has sent so far, here and on splits of it.
  Traffic traffic() const { return *traffic_; }

 protected:
  std::shared_ptr<Pending> start(Operation operation) override;
  std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) override;

 private:
  DryCommunicator(const DryCommunicator& whole, int rank, std::vector<int> members);
  int node_of(int rank) const { return members_[static_cast<std::size_t>(rank)] / ranks_a_node_; }
  int local_rank_of(int rank) const { return members_[static_cast<std::size_t>(rank)] % ranks_a_node_; }

  int nodes_, ranks_a_node_;
  std::vector<int> members_;  // of the job
  std::shared_ptr<Traffic> traffic_;
};

}  // namespace herd
