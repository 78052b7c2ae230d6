#pragma once
#include <chrono>
#include <string>

namespace herd {

/// How far something is: on a terminal a line that is redrawn in place, elsewhere one of the log now and then. One a process at a time.
class StatusLine {
 public:
  StatusLine();
  /// Takes the line away.
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Whether it is worth making another text: five times a second on a terminal, every half minute elsewhere.
  bool due() const;
  /// @param text is cut to the terminal's width.
  void show(const std::string& text);
  /// Something else has begun: it is shown after as long as any.
  void reset();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point shown_ = Clock::now();
  bool on_terminal_, drawn_ = false;
};

}  // namespace herd
