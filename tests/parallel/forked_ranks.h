#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "parallel/comm/operation.h"

// Ranks as processes that can be killed one by one: forked from the test, so that starting them costs milliseconds.
namespace herd::test {

/// What the ranks share.
struct SharedMemory {
  static constexpr int kMostRanks = 2;
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  std::atomic<int> arrived = 0;
  std::atomic<pid_t> pids[kMostRanks] = {};
  std::atomic<std::int64_t> begun = 0;  ///< for the body
  char mail[kMostRanks][kBytes] = {};

  void meet(int ranks) {
    const int goal = (arrived++ / ranks + 1) * ranks;
    while (arrived < goal) std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
};

/// What agreeing needs: all_gather, broadcast and barrier, done when they return.
class ForkedCommunicator final : public Communicator {
 public:
  ForkedCommunicator(SharedMemory& memory, int rank, int ranks) : Communicator(rank, ranks, {}), memory_(memory) {}
  std::string backend() const override { return "forked"; }

 protected:
  struct Done final : Pending {
    void wait() override {}
    bool done() const override { return true; }
  };
  std::shared_ptr<Pending> start(Operation o) override {
    if (o.input.defined()) std::memcpy(memory_.mail[rank()], o.input_data(), o.input.nbytes());
    memory_.meet(size());
    if (o.kind == CommKind::kBroadcast) std::memcpy(o.output_data(), memory_.mail[o.root], o.output.nbytes());
    if (o.kind == CommKind::kAllGather)
      for (std::int64_t at = 0, from = 0; from < size(); at += o.send_counts[static_cast<std::size_t>(from++)])
        std::memcpy(o.output_data() + at * o.output.element_size(), memory_.mail[from],
                    static_cast<std::size_t>(o.send_counts[static_cast<std::size_t>(from)] * o.output.element_size()));
    memory_.meet(size());
    return std::make_shared<Done>();
  }
  std::unique_ptr<Communicator> start_split(Operation, int, int, CommOptions) override { return nullptr; }

 private:
  SharedMemory& memory_;
};

/// Runs the body in as many processes. When one is killed, the others follow a little later, as under mpirun.
/// @return how each ended, as waitpid tells it.
inline std::vector<int> run_forked(SharedMemory& memory, int ranks, const std::function<void(Communicator&)>& body) {
  for (int rank = 0; rank < ranks; ++rank) {
    const auto child = fork();
    if (child == 0) {
      memory.pids[rank] = getpid();
      memory.meet(ranks);
      try {
        ForkedCommunicator communicator(memory, rank, ranks);
        body(communicator);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
        _exit(1);
      }
      _exit(0);
    }
  }
  std::vector<int> ends(static_cast<std::size_t>(ranks));
  for (int left = ranks; left > 0; --left) {
    int status = 0;
    const auto gone = wait(&status);
    for (int rank = 0; rank < ranks; ++rank)
      if (memory.pids[rank] == gone) ends[static_cast<std::size_t>(rank)] = status, memory.pids[rank] = 0;
    if (!WIFSIGNALED(status)) continue;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (const auto& pid : memory.pids)
      if (pid != 0) kill(pid, SIGKILL);
  }
  return ends;
}

/// One for all trials; forked processes see the same pages.
inline SharedMemory& new_shared_memory() {
  static void* const pages = mmap(nullptr, sizeof(SharedMemory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return *new (pages) SharedMemory;
}

}  // namespace herd::test
