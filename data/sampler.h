#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "data/pack.h"

namespace herd {

enum class Order { kShuffled, kAsGiven };

/// How examples become the rows of steps.
struct SamplerOptions {
  std::int64_t global_batch_size = 1;  ///< rows a step, over all ranks
  std::int64_t max_tokens = 512;       ///< longest packed row
  bool packing = false;                ///< several examples a row
  bool group_by_length = false;        ///< one a row, the rows of a step of like length
  Order order = Order::kShuffled;
  std::uint64_t seed = 0;
};

/// What the sampler knows of an example.
struct ExampleSize {
  std::int64_t tokens = 0, supervised_tokens = 0;
  float weight = 1;  ///< how often an epoch shows it
};

/// The rows of one step, each a list of examples, and what the whole global batch holds: every rank knows it without asking.
struct StepRows {
  std::int64_t epoch = 0;
  std::shared_ptr<const RowList> epoch_rows;
  std::int64_t first = 0, count = 0;   ///< rows [first, first + count) of the epoch
  std::int64_t tokens = 0, supervised_tokens = 0;

  std::span<const std::int64_t> row(std::int64_t i) const { return (*epoch_rows)[first + i]; }
};

/// Rows [begin, end) of a step.
struct RowRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

/// The rows of a step that `rank` of `ranks` takes: [count·rank/ranks, count·(rank+1)/ranks), which differ by at most one and may be none.
RowRange rows_of_rank(std::int64_t count, int rank, int ranks);

/// Which examples make which rows of which step: a pure function of (options, sizes, step). An epoch shuffles its examples by
/// (seed, epoch), makes rows of them, and deals the rows to steps of global_batch_size; its last step takes what is left. An epoch shows every
/// example of weight 1 exactly once; one of weight w floor(w) or ceil(w) times, in such turns that n epochs show it n·w times (rounded), and
/// examples of equal weight as evenly as can be: weight 0.5 shows one half and then the other. Epochs may differ by a step, with packing and with weights.
/// Rank count, micro-batch size and accumulation do not enter. Safe to use from several threads.
class Sampler {
 public:
  /// @throws DataError without examples; ConfigError for a global_batch_size below 1.
  Sampler(std::vector<ExampleSize> sizes, SamplerOptions options);

  std::int64_t steps_in_epoch(std::int64_t epoch) const;
  /// The first step of `epoch`; first_step(epochs) is the number of steps in that many epochs.
  std::int64_t first_step(std::int64_t epoch) const;
  std::int64_t epoch_of(std::int64_t step) const;
  /// @param step counted from 0 over all epochs, without end.
  StepRows rows(std::int64_t step) const;

 private:
  std::shared_ptr<const RowList> rows_of_epoch(std::int64_t epoch) const;
  std::vector<std::int64_t> examples_of_epoch(std::int64_t epoch) const;
  bool epochs_are_alike() const { return !options_.packing && phases_.empty(); }

  std::vector<ExampleSize> sizes_;
  SamplerOptions options_;
  std::vector<double> phases_;  // of the examples' turns, where weights are not all 1
  mutable std::mutex mutex_;
  mutable std::int64_t cached_epoch_ = -1;
  mutable std::shared_ptr<const RowList> cached_rows_;
  mutable std::vector<std::int64_t> first_steps_{0};  // by epoch, as far as asked for
};

}  // namespace herd
