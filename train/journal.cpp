#include "train/journal.h"

#include "runtime/base/log.h"
#include "runtime/report/plot.h"
#include "runtime/tensor/device_memory.h"

namespace herd {

Journal::Journal(const RunFolder& folder, const JournalOptions& options) : device_(options.device) {
  const auto resumed = options.resumed ? std::optional(options.first_step) : std::nullopt;
  writers_ = std::make_unique<Writers>(MetricsWriter(folder.metrics(), resumed), std::nullopt, std::nullopt, std::nullopt,
                                       folder.metrics(), "loss of " + folder.root().filename().string());
  if (options.tensorboard) writers_->tensorboard.emplace(folder.tensorboard(), resumed);
  writers_->progress.emplace(options.first_step, options.total_steps, options.log_every);
  if (options.plot) writers_->picture = folder.loss_picture();
}

void Journal::step(const StepReport& report) {
  if (!writers_) return;
  const auto tokens_per_s = static_cast<double>(report.batch_tokens) / report.seconds;
  Scalars values{{metric::kLoss, report.loss},
                 {metric::kLearningRate, report.learning_rate},
                 {metric::kGradientNorm, report.gradient_norm},
                 {metric::kTokens, static_cast<double>(report.tokens)},
                 {metric::kTokensPerS, tokens_per_s},
                 {metric::kResidentBytes, static_cast<double>(process_memory().resident)}};
  if (!device_.is_cpu()) values.emplace_back(metric::kDevicePeakBytes, static_cast<double>(peak_bytes_on(device_)));
  if (report.loss_scale != 1) values.emplace_back("loss_scale", report.loss_scale);
  write(report.step, values);
  writers_->progress->update(report.step, report.loss, report.learning_rate, tokens_per_s);
}

void Journal::evaluation(std::int64_t step, double loss, double perplexity) {
  if (!writers_) return;
  write(step, {{metric::kHeldOutLoss, loss}, {metric::kPerplexity, perplexity}});
  log_info("step {}: held-out loss {:.4f}, perplexity {:.4g}", step, loss, perplexity);
}

void Journal::saved(std::int64_t step, double blocked_s, bool complete) {
  if (!writers_) return;
  write(step, {{metric::kSaveBlocked, blocked_s}});
  log_info("step {}: {}, the training waited {:.3f} s", step, complete ? "saved" : "being saved", blocked_s);
}

void Journal::write(std::int64_t step, const Scalars& values) {
  writers_->metrics.write(step, values);
  if (writers_->tensorboard) writers_->tensorboard->write(step, values);
}

void Journal::finish() {
  if (!writers_) return;
  writers_->progress.reset();
  if (writers_->picture) plot_losses(*writers_->picture, loss_curves(read_metrics(writers_->metrics_path), writers_->title));
}

}  // namespace herd
