#pragma once
#include <optional>
#include <string>
#include <vector>

#include "launch/launcher/mpirun.h"
#include "runtime/base/child_process.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// One mpirun to be seen to its end.
struct Supervision {
  ChildOptions child;               ///< its output is taken care of
  int major = 4;                    ///< of its Open MPI
  std::optional<RunFolder> folder;  ///< whose errors/ say that ranks have failed
  bool prefix = true;               ///< `[rank] ` before each line of a rank
  double grace_s = 600;             ///< for the save after a signal; then the ranks are ended
  double hang_s = 30;               ///< for mpirun to end after a rank has put down its cause
};

struct Supervised {
  int code = 0;                    ///< mpirun's; kExitFailure where it had to be ended
  Signal stopped = Signal::none;   ///< that came to this process, and went to the ranks as SIGUSR1
  std::vector<std::string> told_lost;  ///< hosts that mpirun or ssh said are lost
  std::optional<Cause> cause;      ///< the first of a rank, in this try
  std::string trouble;             ///< why mpirun had to be ended
};

/// Starts it, passes its output on, hands the first signal that `signals` remembers to the ranks as the one that mpirun forwards, SIGUSR1 (it answers SIGTERM
/// and SIGINT by killing them), and ends an mpirun that hangs. @throws IoError where it cannot be started.
Supervised supervise(const Supervision& what, const Signals& signals);

}  // namespace herd
