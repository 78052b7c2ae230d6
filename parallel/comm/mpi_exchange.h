#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "parallel/comm/mpi_link.h"
#include "parallel/comm/operation.h"
#include "parallel/comm/steps.h"

namespace herd {

/// The ranks of one MPI communicator of herd's. All groups share one MPI communicator: tags keep them apart.
struct MpiGroup {
  int id = 0;
  std::vector<int> world_ranks;
  int rank = 0;
  CommOptions options{};
  std::vector<std::string> hosts;  ///< of every rank of the job
  std::atomic<std::uint64_t> entered = 0;  ///< sequence of the last operation that this rank has entered

  int size() const { return static_cast<int>(world_ranks.size()); }
  int world_rank() const { return world_ranks[static_cast<std::size_t>(rank)]; }
};

/// What split() sends about this rank, and what comes of it.
struct SplitRequest {
  std::int64_t color = 0, key = 0;
  std::int64_t free_id = 0;  ///< lowest group id that this rank has never seen
};
struct SplitResult {
  std::vector<int> world_ranks{};  ///< empty without a color
  int rank = 0;
  std::int64_t id = 0, free_id = 0;
};

/// One collective on its way, as messages between pairs. Lives on the communication thread.
class Exchange {
 public:
  /// Operations under way together on one group have different tags; those further apart are matched by their order.
  static constexpr int kTagsPerGroup = 256;
  /// Messages of operations that differ do not meet either (but for one case in so many), where tags have room for it: OpenMPI writes a longer
  /// message than was expected beyond the buffer, in shared memory. The deadline, or a question before it, then names both sides.
  static constexpr int kSignatures = 64;
  static int greatest_group(const MpiLink& link);

  /// `operation` outlives it.
  Exchange(const Operation& operation, const MpiGroup& group, MpiLink& link, SplitRequest split);

  enum class Progress { kNone, kSome, kDone };
  /// Looks after its messages, computes what has become possible. Never blocks. @throws CommError
  Progress advance();
  /// False while MPI may still touch its memory. Not advanced any more after it.
  bool abandon() {
    const bool now = messages_.abandon(), next = next_messages_.abandon();
    return now && next;
  }
  SplitResult split_result;

 private:
  Steps check();
  Steps all_reduce_at_once();
  Steps all_reduce();
  Steps reduce_scatter(const char* input, char* own_part);
  Steps all_gather(const char* own_part, char* output);
  Steps broadcast();
  Steps all_to_all();
  Steps barrier();
  Steps split(SplitRequest request);

  Steps steps();
  std::int64_t bytes_of(const std::vector<std::int64_t>& counts, int rank) const { return counts[static_cast<std::size_t>(rank)] * width_; }
  std::vector<std::int64_t> byte_offsets(const std::vector<std::int64_t>& counts) const;
  void send(int to, const char* from, std::int64_t bytes);  // counted
  void post(int to, const char* from, std::int64_t bytes);
  void receive(int from, char* to, std::int64_t bytes);
  void own(char* to, const char* from, std::int64_t bytes) const;

  const Operation& operation_;
  const MpiGroup& group_;
  const int rank_, size_, tag_;
  const std::int64_t width_;      ///< bytes an element
  std::vector<int> peers_;        ///< the other ranks, beginning behind this one, so that not all talk to rank 0 first
  std::vector<char> scratch_;
  MpiLink::Messages messages_;       ///< what the function waits for at its next pause
  MpiLink::Messages next_messages_;  ///< on their way already
  SplitRequest split_request_;
  Steps steps_;
};

}  // namespace herd
