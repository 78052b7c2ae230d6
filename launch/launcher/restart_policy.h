#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace herd {

/// How far a run has come, in steps.
struct RunProgress {
  std::int64_t saved = 0;    ///< of its last checkpoint; 0: none
  std::int64_t reached = 0;  ///< the last that its metrics have

  bool operator==(const RunProgress&) const = default;
};

/// How a try of a run ended, as the launcher sees it.
struct TryEnd {
  int code = 0;                    ///< mpirun's
  bool stopped = false;            ///< by a signal to the launcher
  std::vector<std::string> lost;   ///< hosts that are gone
  RunProgress progress;
};

/// What is to be done then.
struct Verdict {
  bool again = false;
  int code = 0;        ///< of the launcher, where not
  bool spends = false; ///< of the failures that are allowed
  std::string why;     ///< a clause: "rank failure, 2 of 3 restarts left"
};

/// Decides after each try of one run. Done, stopped and wrong recipes end it. A pre-emption (75, 76) and a lost host are tried again and cost nothing, as long as
/// the run gets on now and then; other failures spend the budget; one that comes again at the same step, with no newer checkpoint, is not tried a third time.
class RestartPolicy {
 public:
  /// Tries in a row without a newer checkpoint that cost nothing: then it is no accident any more.
  static constexpr int kFreeWithoutProgress = 5;

  /// @param restarts after failures; 0: none, not after a pre-emption or lost host either.
  explicit RestartPolicy(int restarts) : restarts_(restarts) {}
  Verdict after(const TryEnd& end);

 private:
  Verdict failed(const TryEnd& end);
  Verdict free_of_charge(const TryEnd& end, const std::string& what);

  int restarts_, failures_ = 0, free_ = 0;
  std::int64_t saved_ = 0;
  std::optional<RunProgress> last_failure_;
};

}  // namespace herd
