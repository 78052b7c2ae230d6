#include "launch/predict_watch.h"

#include <fmt/format.h>

#include "runtime/base/text.h"
#include "runtime/report/progress.h"

namespace herd {

std::string predict_line(std::int64_t before, std::int64_t answers, std::int64_t all, std::int64_t new_tokens, double seconds) {
  const auto there = before + answers;
  const double eta_s = answers > 0 ? seconds / static_cast<double>(answers) * static_cast<double>(all - there) : -1;
  return fmt::format("{:3}% {}/{} answers  eta {}  {} tok/s", all > 0 ? 100 * there / all : 100, with_thousands(there), with_thousands(all),
                     human_time(eta_s),
                     with_thousands(seconds > 0 ? static_cast<std::int64_t>(static_cast<double>(new_tokens) / seconds) : 0));
}

void PredictWatch::operator()(std::int64_t answers, std::int64_t new_tokens) {
  if (watch_) (*watch_)(predict_line(before_, answers, all_, new_tokens, watch_->seconds()));
}

}  // namespace herd
