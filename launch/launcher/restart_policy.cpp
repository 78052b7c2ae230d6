#include "launch/launcher/restart_policy.h"

#include <fmt/format.h>

#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"

namespace herd {

Verdict RestartPolicy::after(const TryEnd& end) {
  if (end.progress.saved > saved_) free_ = 0;
  saved_ = end.progress.saved;
  if (end.code == kExitSuccess) return {.code = kExitSuccess, .why = "done"};
  if (end.stopped) return {.code = end.code, .why = "stopped by a signal to the launcher"};
  if (end.code == kExitUsage) return {.code = kExitUsage, .why = "the command line or the recipe is wrong"};
  if (end.code == kExitInterrupted) return {.code = end.code, .why = "interrupted"};
  if (restarts_ == 0) return {.code = end.code, .why = "--restarts 0"};
  if (!end.lost.empty()) return free_of_charge(end, "lost " + join(end.lost));
  if (end.code == kExitPreempted || end.code == kExitTerminated) return free_of_charge(end, "pre-empted");
  return failed(end);
}

Verdict RestartPolicy::failed(const TryEnd& end) {
  const auto at = fmt::format("failed after step {}", end.progress.reached);
  if (last_failure_ == end.progress)
    return {.code = kExitGivenUp, .why = fmt::format("{} as before, with no checkpoint since step {}", at, end.progress.saved)};
  last_failure_ = end.progress;
  if (failures_ == restarts_) return {.code = kExitGivenUp, .spends = true, .why = fmt::format("{}, and {} used up", at, plural(restarts_, "restart"))};
  ++failures_;
  return {.again = true, .spends = true, .why = fmt::format("{}, {} of {} left", at, restarts_ - failures_, plural(restarts_, "restart"))};
}

Verdict RestartPolicy::free_of_charge(const TryEnd& end, const std::string& what) {
  if (++free_ > kFreeWithoutProgress)
    return {.code = kExitGivenUp, .why = fmt::format("{}, for the {}th time with no checkpoint since step {}", what, free_, end.progress.saved)};
  return {.again = true, .why = what};
}

}  // namespace herd
