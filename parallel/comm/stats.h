#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>

namespace herd {

enum class CommKind : std::uint8_t { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kAllToAll, kBarrier, kSplit };
constexpr int kCommKinds = 7;
std::string_view name_of(CommKind kind);

/// What one communicator has done so far.
struct CommStats {
  struct Line {
    std::uint64_t calls = 0;
    std::uint64_t bytes = 0;  ///< of the larger of the two buffers of each call
    std::uint64_t sent = 0;   ///< bytes that this rank has sent to others for them; counted by the mpi backend
  };
  std::array<Line, kCommKinds> of_kind{};
  std::uint64_t done = 0;  ///< operations completed without error

  const Line& operator[](CommKind kind) const { return of_kind[static_cast<std::size_t>(kind)]; }
  std::uint64_t calls() const;
  std::uint64_t sent() const;
};

/// Written by callers and by the communication thread.
struct SharedStats {
  std::mutex mutex;
  CommStats stats;
};

}  // namespace herd
