#pragma once
#include <chrono>
#include <string>

namespace herd {

/// Shows how far something is: on a terminal a line redrawn in place, elsewhere one of the log now and then.
class LineWatch {
 public:
  LineWatch() = default;
  ~LineWatch();
  LineWatch(const LineWatch&) = delete;
  LineWatch& operator=(const LineWatch&) = delete;

  void operator()(const std::string& line);
  double seconds() const;  ///< since it was made

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point began_ = Clock::now(), logged_ = began_;
};

}  // namespace herd
