#pragma once
#include <deque>
#include <future>
#include <memory>

#include "data/collate.h"
#include "data/formatter.h"
#include "data/stream.h"
#include "data/step_source.h"

namespace herd {

/// Batches of data that are read while training goes on. Records are taken a window at a time, tokenised on options.threads threads in the background,
/// shuffled by (seed, epoch, window), made rows of (as Sampler makes them, within the window) and dealt to steps; an epoch's last step takes what is left of it.
/// A pure function of data and options, like Batches; only that shuffling reaches no further than a window, and steps come one after another.
class StreamedBatches final : public StepSource {
 public:
  /// @param epochs after which there are no more steps.
  /// The tokenizer must outlive it. @throws what RecordStream and Formatter throw.
  StreamedBatches(const DataOptions& options, std::vector<ResolvedSet> sets, const Tokenizer& tokenizer, std::int64_t global_batch_size, std::int64_t epochs, TokenId pad_token);
  ~StreamedBatches() override;

  /// Goes to where a checkpoint says that step `step` begins. @param place what place() gave. @throws DataError for a text that it did not.
  void go_to(std::int64_t step, const std::string& place);

  bool has(std::int64_t step) override;
  StepSize size(std::int64_t step) override;
  std::vector<Batch> micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) override;
  std::optional<std::int64_t> epoch_ended_at(std::int64_t steps) override;
  std::optional<std::int64_t> steps_in(std::int64_t) override { return std::nullopt; }
  std::string place(std::int64_t steps) override;

 private:
  /// A window, tokenised. An epoch's end is one without rows.
  struct Window {
    StreamPlace begins;
    Examples examples;
    RowList rows;
    bool ends_epoch = false;
  };
  /// A row of a window that steps still need.
  struct QueuedRow {
    std::shared_ptr<const Window> window;
    std::int64_t row = 0;
  };
  Window read_window();
  void fetch();
  void take_window();
  void fill(std::int64_t step);

  DataOptions options_;
  RecordStream stream_;
  Formatter format_;
  std::int64_t global_batch_size_, epochs_;
  TokenId pad_token_;
  std::future<Window> next_;
  std::deque<QueuedRow> queue_;    // of one epoch
  bool epoch_read_ = false;        // the queue holds the last rows of its epoch
  std::int64_t epoch_ = 0;
  std::int64_t step_ = -1;         // the one at hand
  std::vector<QueuedRow> rows_;    // its rows
  bool ends_epoch_ = false;        // it is its epoch's last
};

}  // namespace herd
