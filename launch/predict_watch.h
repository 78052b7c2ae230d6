#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "runtime/report/status_line.h"

namespace herd {

/// Shows how far a prediction is.
class PredictWatch {
 public:
  /// @param before answers that were there when this process began. @param all wanted. @param shows whether this rank is the one that does.
  PredictWatch(std::int64_t before, std::int64_t all, bool shows) : before_(before), all_(all), shows_(shows) {}
  PredictWatch(const PredictWatch&) = delete;
  PredictWatch& operator=(const PredictWatch&) = delete;

  /// @param answers, new_tokens since this process began, of all ranks.
  void operator()(std::int64_t answers, std::int64_t new_tokens);

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t before_, all_;
  bool shows_;
  Clock::time_point began_ = Clock::now();
  StatusLine line_;
};

/// ` 34% 340/1,000 answers  eta 1:23  120 tok/s`. @param before answers that took none of the seconds.
std::string predict_line(std::int64_t before, std::int64_t answers, std::int64_t all, std::int64_t new_tokens, double seconds);

}  // namespace herd
