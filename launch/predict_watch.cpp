#include "launch/predict_watch.h"

#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"
#include "runtime/report/progress.h"

namespace herd {

std::string predict_line(std::int64_t before, std::int64_t answers, std::int64_t all, std::int64_t new_tokens, double seconds) {
  const auto there = before + answers;
  const double eta_s = answers > 0 ? seconds / static_cast<double>(answers) * static_cast<double>(all - there) : -1;
  return fmt::format("{:3}% {}/{} answers  eta {}  {} tok/s", all > 0 ? 100 * there / all : 100, with_thousands(there), with_thousands(all), human_time(eta_s),
                     with_thousands(seconds > 0 ? static_cast<std::int64_t>(static_cast<double>(new_tokens) / seconds) : 0));
}

PredictWatch::~PredictWatch() {
  if (shows_) show_status_line("");
}

void PredictWatch::operator()(std::int64_t answers, std::int64_t new_tokens) {
  constexpr auto kLogEvery = std::chrono::seconds(30);
  if (!shows_) return;
  const auto now = Clock::now();
  const auto line = predict_line(before_, answers, all_, new_tokens, std::chrono::duration<double>(now - began_).count());
  if (const auto columns = terminal_columns()) {
    show_status_line(line.substr(0, static_cast<std::size_t>(std::max(*columns - 1, 0))));
  } else if (now - logged_ >= kLogEvery) {
    logged_ = now;
    log_info("{}", line);
  }
}

}  // namespace herd
