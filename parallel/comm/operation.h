#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "runtime/base/error.h"

// What backends share: the description of one collective, its completion, and the words of its errors. For backends, not for callers.
namespace herd {

using Clock = std::chrono::steady_clock;

/// Up to here an all_reduce or broadcast sends everything to everybody: one trip in place of two.
inline constexpr std::int64_t kSmallBytes = 8 << 10;

/// One collective as this rank entered it. In place: input and output are the same tensor.
struct Operation {
  CommKind kind{};
  ReduceOp op = ReduceOp::kSum;
  int root = 0;
  Tensor input{}, output{};
  std::vector<std::int64_t> send_counts{}, receive_counts{};  ///< elements by rank; reduce_scatter and all_gather hold one list, twice
  std::uint64_t sequence = 0;  ///< 1, 2, … on each communicator
  std::uint32_t signature = 0;  ///< of description(): the same where ranks entered the same
  std::string group{};         ///< the communicator's name in the flight log
  double deadline_s = 0;
  Clock::time_point deadline{};
  std::shared_ptr<SharedStats> stats{};
  std::shared_ptr<FlightLog> flight{};
  std::uint64_t flight_slot = 0;
  bool question = false;  ///< moves nothing and never completes: its error says who has entered `sequence` by another way (pass_by)

  std::int64_t bytes() const;
  /// `all_reduce #7`.
  std::string title() const;
  /// What all ranks must agree on: `all_reduce(sum) of float32 [3, 4]`.
  std::string description() const;
  const char* input_data() const;
  char* output_data() const;
};

/// Backends complete it; callers wait for it.
struct Pending {
  virtual ~Pending() = default;
  virtual void wait() = 0;
  virtual bool done() const = 0;
};

/// The Pending of every backend here: one flag, one error.
class Completion : public Pending {
 public:
  explicit Completion(Operation operation) : operation_(std::move(operation)) {}
  const Operation& operation() const { return operation_; }

  void wait() override;
  bool done() const override;
  /// True while a caller sits in wait(): its core is free, and time matters.
  bool waited_for() const { return waiting_.load(std::memory_order_relaxed) > 0; }
  /// The first call counts, later ones are ignored.
  void complete(std::exception_ptr error = nullptr);

 protected:
  /// wait() calls it once the deadline has passed by `grace`; it must call complete().
  virtual void overdue() = 0;
  virtual std::chrono::milliseconds grace() const { return std::chrono::milliseconds(0); }

 private:
  Operation operation_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> claimed_ = false;
  std::atomic<int> waiting_ = 0;
  bool done_ = false;
  std::exception_ptr error_;
};

/// Adds to what this rank has sent of the operation's kind. Nothing for an operation inside another one, which has no counters.
void count_sent(const Operation& operation, std::int64_t bytes);

/// The host of each rank of the job; empty where there is one process.
using Hosts = std::span<const std::string>;

/// `rank 3`, `ranks 0–2, 5`; with hosts `ranks 0–2 on n1, rank 5 on n2`.
std::string rank_list(std::span<const int> ranks, Hosts hosts = {});

/// Errors name ranks by their number in the whole job, also on a split.
/// The error of a missed deadline. `late`: ranks known not to have entered, `silent`: ranks that could not be asked,
/// `activities`: words about single ranks ("rank 3 was last seen in: …").
CommError deadline_error(const Operation& operation, std::span<const int> late, std::span<const int> silent, const std::string& activities,
                         Hosts hosts = {});

/// The error of ranks that entered different operations under one sequence number: what each of `ranks` entered. Empty where all agree.
std::optional<CommError> disagreement(const Operation& operation, std::span<const int> ranks, std::span<const std::string> descriptions,
                                      Hosts hosts = {});

/// The error of an all_to_all where rank `from` sends another number of elements than rank `to` receives.
std::optional<CommError> pair_disagreement(const Operation& operation, int from, int to, std::int64_t sent, std::int64_t received);

/// The error of every call after the first failure.
CommError out_of_use(const Operation& operation, const std::string& first_cause);

/// Offsets of parts laid one after the other; one more entry than counts.
std::vector<std::int64_t> offsets_of(std::span<const std::int64_t> counts);

}  // namespace herd
