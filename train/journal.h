#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "runtime/base/tensor.h"
#include "runtime/report/metrics.h"
#include "runtime/report/progress.h"
#include "runtime/report/run_folder.h"
#include "runtime/report/tensorboard.h"

namespace herd {

/// What there is to tell of a step.
struct StepReport {
  std::int64_t step = 0;  ///< 1 after the first
  double loss = 0;        ///< nats a supervised token, over the global batch
  double learning_rate = 0;
  double gradient_norm = 0;  ///< before clipping; NaN for a step left out
  std::int64_t batch_tokens = 0, tokens = 0;
  double seconds = 0;  ///< of this step alone: no evaluation, no save
  double loss_scale = 1;
};

struct JournalOptions {
  std::int64_t first_step = 0, total_steps = 0;  ///< where this process begins and the run ends
  bool resumed = false;
  std::int64_t log_every = 10;
  bool tensorboard = true, plot = true;
  at::Device device = at::kCPU;  ///< where the run's tensors lie: a GPU's memory is told besides
};

/// Tells people and files how a run goes. Rank 0 has one that writes; the others' is silent.
class Journal {
 public:
  Journal() = default;  ///< silent
  Journal(const RunFolder& folder, const JournalOptions& options);

  void step(const StepReport& report);
  void evaluation(std::int64_t step, double loss, double perplexity);
  /// The training stood still for so long, all in all, for the checkpoint of this step.
  /// @param complete it is on the disk; else a thread is still writing it.
  void saved(std::int64_t step, double blocked_s, bool complete);
  /// Draws the loss curve. Called at the end, also of a run that was stopped.
  void finish();

 private:
  struct Writers {
    MetricsWriter metrics;
    std::optional<TensorBoardWriter> tensorboard;
    std::optional<Progress> progress;
    std::optional<std::filesystem::path> picture;
    std::filesystem::path metrics_path;
    std::string title;  // of the picture
  };
  void write(std::int64_t step, const Scalars& values);
  std::unique_ptr<Writers> writers_;
  at::Device device_ = at::kCPU;
};

}  // namespace herd
