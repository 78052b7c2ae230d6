#pragma once

namespace herd {

/// What a herd process ends with, for job scripts to branch on. A process that a second signal ends at once, without saving, uses
/// the shell's convention 128 + signal number (138 for SIGUSR1, 143 for SIGTERM, 130 for SIGINT).
inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;        ///< an error, told on stderr and in the run folder's errors/
inline constexpr int kExitUsage = 2;          ///< the command line or the recipe is wrong: running it again cannot help
inline constexpr int kExitGivenUp = 70;       ///< herd launch tried again in vain: do not requeue, a person must look (EX_SOFTWARE)
inline constexpr int kExitPreempted = 75;     ///< SIGUSR1 was obeyed: a checkpoint lies ready, submit again to go on (EX_TEMPFAIL)
inline constexpr int kExitTerminated = 76;    ///< SIGTERM was obeyed in the same way
inline constexpr int kExitInterrupted = 130;  ///< a person pressed Ctrl-C

}  // namespace herd
