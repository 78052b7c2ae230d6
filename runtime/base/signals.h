#pragma once
#include <signal.h>

#include <array>

namespace herd {

/// In order of urgency, so that ranks which saw different signals agree on the greatest.
enum class Signal : int {
  none = 0,
  preempt = 1,    ///< SIGUSR1: save at the next step boundary and end with kExitPreempted
  terminate = 2,  ///< SIGTERM: the same with kExitTerminated, where the launcher leaves the time (srun does, bare mpirun does not)
  interrupt = 3,  ///< SIGINT
};

/// "SIGUSR1", "SIGTERM", "SIGINT" or "no signal".
const char* name(Signal signal);
/// The code of exit_codes.h with which a process ends that obeyed `signal`; kExitSuccess for none.
int exit_code(Signal signal);

/// Turns SIGUSR1, SIGTERM and SIGINT into a question asked at step boundaries, for as long as the object lives; then the former
/// handlers are back. The first signal is only remembered, and so is what comes within half a second of it (schedulers and launchers send
/// one twice). A later one, of any of the three, ends the process at once with one line on stderr and exit code 128 + its number:
/// whatever hangs, a person or scheduler that insists is obeyed.
/// One object a process at a time (a second throws Error); `pending` may be asked from any thread.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// The first signal that came since construction. A signal may reach some ranks only: gather it over ranks before acting on it.
  Signal pending() const;

 private:
  std::array<struct sigaction, 3> former_{};
};

}  // namespace herd
