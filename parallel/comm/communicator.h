#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/comm/stats.h"
#include "runtime/base/error.h"
#include "runtime/base/tensor.h"

namespace herd {

class FlightLog;
class Watchdog;
struct Operation;
struct Pending;

enum class ReduceOp : std::uint8_t { kSum, kMax, kMin };

/// How operations behave; the same on every rank.
struct CommOptions {
  /// Time from entering an operation until it must have completed on this rank; see Communicator::set_deadline.
  double deadline_s = 300;
  /// Largest single message. Bounds scratch memory to (ranks x this) an operation, and lifts every 2^31 limit. Never changes a result.
  std::int64_t piece_bytes = std::int64_t{32} << 20;
  /// Compare operation, shape and dtype over all ranks before any data moves. Always on in debug builds and on the threads backend.
  /// Not for tensors on a GPU, where it would hold up the host: there only where asked for.
  bool check = false;
};

/// One operation under way. Move-only; dropping it without wait() is safe (buffers stay alive) and never blocks:
/// a failure then shows at the next call on the communicator.
class [[nodiscard]] Work {
 public:
  Work() = default;  ///< nothing to wait for
  explicit Work(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
  Work(Work&&) = default;
  Work& operator=(Work&&) = default;

  /// Returns when the result is in its buffer. May be called again.
  /// @throws CommError naming operation, sequence number, bytes and dtype, and the ranks that are late where the backend can know them.
  void wait();
  /// True when wait() would not block. Never throws.
  bool done() const;

 private:
  std::shared_ptr<Pending> pending_;
};

/// The equal split of `elements` over `parts`: the first `elements % parts` get one more. What collectives use where no counts are given.
std::vector<std::int64_t> even_counts(std::int64_t elements, int parts);

/// A process of the job.
struct Peer {
  std::string host;
  int process = 0;    ///< its id on that host
  bool near = false;  ///< on this host
};

/// Where a rank stands in the job.
struct RankPlace {
  int rank = 0, local_rank = 0, node_rank = 0;
};

/// The part of a split that a rank joins: those with its color, ordered by (key, rank).
struct SplitPlace {
  int color = 0, key = 0;
};

/// A group of ranks and what they do together. Every rank calls the same operations in the same order, from one thread at a time;
/// several operations may be under way. Buffers are contiguous tensors, on one of devices(), of fp32, fp64, bf16, fp16, int64, int32, uint8 or bool, any
/// shape, possibly empty; they are left alone by the caller until wait() (inputs may be read).
/// Sums run in rank order, bf16 and fp16 in fp32 with one rounding at the end: the result is the same on every rank and independent of
/// how a buffer is cut into operations or pieces.
/// After a failure the communicator is out of use: every later call throws at once.
/// Every call passes through `run`: it checks arguments, counts, and keeps the flight log.
class Communicator {
 public:
  Communicator(int rank, int size, CommOptions options);
  virtual ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  const CommOptions& options() const { return options_; }
  /// Name in backends().
  virtual std::string backend() const = 0;
  /// Place of this process among those of the job on its host, and of the host among hosts (the same in every split).
  virtual int local_rank() const { return 0; }
  virtual int local_size() const { return 1; }
  virtual int node_rank() const { return 0; }
  virtual int node_count() const { return 1; }
  /// Where buffers may lie; the first is where a model's tensors belong. On a CUDA device wait() orders the caller's current stream
  /// behind the operation and does not hold up the host (docs/decisions/nccl-sums-in-rank-order.md).
  virtual std::vector<at::Device> devices() const { return {at::kCPU}; }
  /// Who a rank of this communicator is.
  virtual Peer peer(int rank) const;

  /// Reduces `buffer` over all ranks, in place; same shape and dtype everywhere. kSum is refused for bool.
  /// Moves 2·n·(N−1)/N elements a rank (reduce_scatter, then all_gather; Patarasuk & Yuan 2009, section 2).
  Work all_reduce(Tensor buffer, ReduceOp op = ReduceOp::kSum);
  /// Reduces `input` and leaves part `rank` of it in `output`. `counts`: elements a rank, the same list everywhere; default even_counts.
  /// `output` may be this rank's slice of `input`.
  Work reduce_scatter(Tensor output, Tensor input, ReduceOp op = ReduceOp::kSum, std::vector<std::int64_t> counts = {});
  /// Puts every rank's `input` one after the other into `output`. `counts` as above; `input` may be this rank's slice of `output`.
  Work all_gather(Tensor output, Tensor input, std::vector<std::int64_t> counts = {});
  /// Copies `buffer` of rank `root` to all.
  Work broadcast(Tensor buffer, int root = 0);
  /// Sends the next `send_counts[r]` elements of `input` to rank r, receives `receive_counts[r]` from it. Without counts both are equal
  /// parts, and must divide.
  Work all_to_all(Tensor output, Tensor input, std::vector<std::int64_t> send_counts = {}, std::vector<std::int64_t> receive_counts = {});
  /// Done when every rank has entered.
  Work barrier();
  /// Ranks of one color form a communicator, ordered by (key, rank); a negative color gets none (nullptr). `options`, the same on all of
  /// its ranks, are this one's where not given. Blocks.
  std::unique_ptr<Communicator> split(int color, int key, std::optional<CommOptions> options = {});

  /// The same by a rule that says for any rank where it goes.
  virtual std::unique_ptr<Communicator> split_by(const std::function<SplitPlace(const RankPlace&)>& rule) {
    const auto place = rule({rank_, local_rank(), node_rank()});
    return split(place.color, place.key);
  }

  /// What this rank does now ("reading data shard 12"): named when others wait for it.
  virtual void note(std::string_view activity);
  /// Calls, bytes and waiting time of this communicator so far.
  CommStats stats() const;
  /// Time this rank has spent inside wait() so far, here and in all splits of the same communicator.
  double job_waited_s() const;
  /// Operations entered from now on have this long; those of all splits too, but for splits made with options of their own. The same on
  /// every rank.
  void set_deadline(double seconds) { *deadline_s_ = seconds; }
  double deadline_s() const { return *deadline_s_; }
  /// Keeps the flight log from now on in `folder`/rank-N.flight, memory-mapped: readable (read_flight) after SIGKILL. Splits share it.
  void record_flight(const std::filesystem::path& folder);

  /// From now on this process ends itself (exit code 1) where nobody else does, by a thread that needs neither the backend nor the caller:
  /// when another rank of this host is gone, when a failure has not ended the process for some seconds, when an operation is open long
  /// after its deadline. `last_words` is told why, on that thread, and gets two seconds.
  void watch(std::function<void(const std::string& cause)> last_words);
  /// Calls that off, where ranks are about to end in order: before this rank says goodbye to the others.
  void stop_watching();

  /// Ends all ranks at once with exit code `code`: prints `message` and never returns. Callable from any thread.
  [[noreturn]] virtual void abort(int code, std::string_view message);

 protected:
  friend class LatencyCommunicator;
  friend class DeviceCommunicator;
  virtual std::shared_ptr<Pending> start(Operation operation) = 0;
  virtual std::unique_ptr<Communicator> start_split(Operation operation, int color, int key, CommOptions options) = 0;
  /// For a backend that is built upon this one: this rank has entered operation `sequence`, which goes another way.
  virtual void pass_by(std::uint64_t /*sequence*/) {}
  /// Why this communicator is out of use; empty as long as it is not. From any thread.
  virtual std::string failure() const { return {}; }
  /// Puts it out of use on all ranks, from operation `sequence` on. From any thread.
  virtual void give_up(std::uint64_t /*sequence*/, const std::string& /*cause*/) {}
  const std::shared_ptr<FlightLog>& flight() { return flight_; }

 private:
  Work run(Operation operation);
  Operation stamp(Operation operation);

  int rank_, size_;
  CommOptions options_;
  std::uint64_t sequence_ = 0;
  std::shared_ptr<SharedStats> stats_;
  std::shared_ptr<FlightLog> flight_;
  std::string label_ = "all";  ///< its name in the flight log
  std::shared_ptr<double> deadline_s_;  ///< read and written by the callers' thread alone
  std::unique_ptr<Watchdog> watchdog_;
};

/// Another deadline for as long as it lives: loading and saving take longer than a step. Every rank makes one alike.
class DeadlineScope {
 public:
  DeadlineScope(Communicator& communicator, double seconds) : communicator_(communicator), former_s_(communicator.deadline_s()) {
    communicator.set_deadline(seconds);
  }
  ~DeadlineScope() { communicator_.set_deadline(former_s_); }
  DeadlineScope(const DeadlineScope&) = delete;
  DeadlineScope& operator=(const DeadlineScope&) = delete;

 private:
  Communicator& communicator_;
  double former_s_;
};

/// The communicator of a process that is alone.
std::unique_ptr<Communicator> make_self_communicator(CommOptions options = {});

}  // namespace herd
