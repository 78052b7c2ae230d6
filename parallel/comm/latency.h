#pragma once
#include <cstdint>
#include <limits>
#include <memory>

#include "parallel/comm/communicator.h"

namespace herd {

/// A network that this machine does not have.
struct LatencyOptions {
  double latency_s = 0;  ///< from entering an operation to its result, at least
  double bytes_per_s = std::numeric_limits<double>::infinity();  ///< operations take their turn on one line of this speed
  double jitter_s = 0;   ///< up to this more, different for every operation: they complete in another order than they were entered in
  std::uint64_t seed = 0;
};

/// A communicator of which every operation takes longer, at no cost in CPU time: for benchmarks of overlap, and for tests, which see at
/// once who reads a buffer before wait(): until then results lie elsewhere and outputs hold 0xFF bytes (NaN in every floating dtype).
class LatencyCommunicator final : public Communicator {
 public:
  /// `inner` must outlive it, and is used by nobody else meanwhile.
  LatencyCommunicator(Communicator& inner, LatencyOptions options);
  LatencyCommunicator(std::unique_ptr<Communicator> inner, LatencyOptions options);
  /// Operations under way complete first.
  ~LatencyCommunicator() override;

  std::string backend() const override { return inner_.backend(); }
  int local_rank() const override { return inner_.local_rank(); }
  int local_size() const override { return inner_.local_size(); }
  int node_rank() const override { return inner_.node_rank(); }
  int node_count() const override { return inner_.node_count(); }
  void note(std::string_view activity) override;
  Peer peer(int rank) const override;
  [[noreturn]] void abort(int code, std::string_view message) override;

 protected:
  std::shared_ptr<Pending> start(Operation operation) override;
  std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) override;

 private:
  class Courier;
  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
  LatencyOptions latency_;
  std::unique_ptr<Courier> courier_;
};

}  // namespace herd
