#pragma once
#include <optional>
#include <string>
#include <vector>

#include "runtime/report/run_folder.h"

namespace herd {

/// The last note() of a rank that ended in order.
inline constexpr const char* kEnded = "the end";

/// How the last run in a folder ended, as far as its ranks could tell.
struct RunEnd {
  std::optional<Cause> cause;         ///< the earliest error of any rank
  bool orderly = true;                ///< every rank came to its end, or there are no logs that say otherwise
  std::vector<std::string> findings;  ///< what the flight logs say where it was not orderly
};

/// Of a run that has ended: one that lives has not come to its end either.
RunEnd run_end(const RunFolder& folder);

/// Refuses a folder whose checkpoint or result a new run would write over. @param resume checkpoint.resume: anything but `none` goes on
/// with it. @throws IoError.
void refuse_used(const RunFolder& folder, const std::string& resume);

}  // namespace herd
