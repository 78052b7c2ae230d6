#pragma once
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "runtime/base/signals.h"
#include "runtime/report/status_line.h"

namespace herd {

/// A signal came while a run was loading.
struct Interrupted {};

/// A LoadListener that shows how far the data are (on a terminal a line redrawn in place; elsewhere one of the log, every half minute) and obeys signals.
class LoadWatch {
 public:
  /// @param shows whether this rank is the one that does.
  LoadWatch(std::function<Signal()> signal, bool shows) : signal_(std::move(signal)), shows_(shows) {}
  LoadWatch(const LoadWatch&) = delete;
  LoadWatch& operator=(const LoadWatch&) = delete;

  /// @throws Interrupted.
  void operator()(std::string_view doing, std::int64_t records);

 private:
  using Clock = std::chrono::steady_clock;

  std::function<Signal()> signal_;
  bool shows_;
  std::mutex mutex_;
  std::string doing_;
  Clock::time_point began_{};
  StatusLine line_;
};

}  // namespace herd
