#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "sweep/ledger.h"
#include "sweep/plan.h"

namespace herd::sweep {

/// A run that is to be made.
struct Task {
  std::size_t point = 0;          ///< of Plan::points
  std::int64_t stop_after = 0;    ///< optimizer steps at which it pauses; 0: at its end
  std::shared_ptr<Hold> hold{};   ///< the point is this process's as long as it lives
};

/// Which points a process may run.
struct Share {
  bool failed_only = false;      ///< those that have failed, and no others
  std::int64_t part = 0, parts = 1;  ///< each point whose number leaves `part` when divided by `parts`; asha's are everybody's
};

/// What is left to do of a sweep, by the states in its folder, which are read anew for each task: several processes may take from one folder. A point is taken under a
/// lock of the queue, and held by a lock of its own.
class Queue {
 public:
  Queue(const Plan& plan, const Ledger& ledger, const SweepOptions& options, Share share);

  /// The next task, stored as running. What was begun comes first. Nothing where there is none now: see `later`. @throws IoError
  std::optional<Task> take();
  /// Whether the last take() left a point out that somebody is still at work at: its submitter died, and its run is about to save.
  bool later() const { return later_; }
  /// The task's run has ended. @param asked whether this process told it to. @return how the point stands now
  const Standing& ended(const Task& task, int exit_code, double seconds, bool asked);

  /// Of all points of the plan.
  const std::vector<Standing>& standings() const { return standings_; }
  std::int64_t count(State state) const;
  /// Points that this process has begun or gone on with, and that then failed.
  bool any_failed() const;
  /// Whether one of this process's is left saved and unfinished.
  bool any_preempted() const;

 private:
  void refresh();
  bool mine(std::size_t point) const;
  bool may_begin() const;
  std::optional<std::size_t> next_point(std::int64_t& stop_after);
  bool busy(std::size_t point);

  const Plan& plan_;
  const Ledger& ledger_;
  SweepOptions options_;
  Share share_;
  std::vector<Standing> standings_;
  std::vector<bool> here_;         // at work in this process
  std::vector<bool> touched_;      // by this process
  std::vector<int> preemptions_;   // in this process that it did not ask for
  std::vector<bool> again_;        // --failed
  bool later_ = false;
};

}  // namespace herd::sweep
