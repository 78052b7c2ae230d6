#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/process.h"

namespace herd {

/// What the bar shows after a step.
struct ProgressState {
  std::int64_t step = 0;   ///< steps done
  std::int64_t steps = 0;  ///< steps in all; 0 where that is not known (a run that stops on a held-out loss)
  double loss = 0;         ///< nats a token
  double learning_rate = 0;
  double tokens_per_s = 0;
  double eta_s = -1;  ///< seconds to go, negative where unknown
  ProcessMemory memory;
};

/// `1:02:03`, `4:05`, `3d 4h`: seconds for people; "?" where negative or not finite.
std::string human_time(double seconds);

/// ` 34% [===>      ] step 34/100  loss 1.2345  eta 1:23  12,345 tok/s  mem 1.5 GiB  lr 3.00e-04  peak mem 2 GiB`, less than `columns` wide:
/// first the last two give way, then the bar, then what matters least.
std::string render_bar(const ProgressState& state, int columns);
/// The same without a bar, for logs.
std::string render_line(const ProgressState& state);

/// Shows how far a run is: on a terminal a bar that is redrawn in place, elsewhere a log line every `every` steps and at the last.
/// One a process; only rank 0 makes one.
class Progress {
 public:
  /// @param first_step steps done before this process began (a resumed run), so that the time to go counts this process's pace.
  /// @param steps in all, 0 where unknown
  Progress(std::int64_t first_step, std::int64_t steps, std::int64_t every);
  /// Takes the bar away; the last state stays in the log as a line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After step `step` (1 after the first).
  void update(std::int64_t step, double loss, double learning_rate, double tokens_per_s);

 private:
  using Clock = std::chrono::steady_clock;
  double eta_s(std::int64_t step) const;

  std::int64_t first_step_, every_;
  bool on_terminal_;
  bool logged_ = true;
  Clock::time_point began_ = Clock::now(), drawn_{};
  ProgressState state_;
};

}  // namespace herd
