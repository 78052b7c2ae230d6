#pragma once
#include <signal.h>

namespace herd {

/// Turns SIGINT into a question for as long as it lives: what Ctrl-C stops is an answer, time and again, and never the program (Signals,
/// which is for runs, remembers the first and obeys the second). A fourth that nobody asked about ends the process with 130, whatever
/// hangs. One object a process.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Whether one came since it was last asked.
  bool take();

 private:
  struct sigaction former_ {};
};

}  // namespace herd
