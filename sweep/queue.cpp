#include "sweep/queue.h"

#include <algorithm>
#include <limits>

#include "runtime/base/lone_lock.h"
#include "runtime/base/waiting_lock.h"
#include "runtime/report/run_folder.h"
#include "sweep/asha.h"

namespace herd::sweep {
namespace {

constexpr int kMostPreemptions = 3;  // by others in one process's time: then something ends it again and again

bool begun(const Standing& standing) { return standing.state == State::kRunning || standing.state == State::kPreempted; }

}  // namespace

Queue::Queue(const Plan& plan, const Ledger& ledger, const SweepOptions& options, Share share)
    : plan_(plan), ledger_(ledger), options_(options), share_(share), standings_(plan.points().size()), here_(standings_.size()), touched_(standings_.size()),
      preemptions_(standings_.size()), again_(standings_.size()) {
  refresh();
  if (!share_.failed_only) return;
  for (std::size_t i = 0; i < standings_.size(); ++i) again_[i] = standings_[i].state == State::kFailed && mine(i);
}

void Queue::refresh() {
  for (std::size_t i = 0; i < standings_.size(); ++i)
    if (!here_[i]) standings_[i] = ledger_.read(plan_.points()[i].id);
}

bool Queue::mine(std::size_t point) const {
  return options_.asha || static_cast<std::int64_t>(point) % share_.parts == share_.part;
}

bool Queue::may_begin() const {
  if (options_.budget.points == 0) return true;
  return std::count_if(standings_.begin(), standings_.end(), [](const Standing& s) { return s.starts > 0; }) < options_.budget.points;
}

// Somebody else's: by the point's lock, or by that of its run, which outlives a submitter that was killed.
bool Queue::busy(std::size_t point) {
  const auto& id = plan_.points()[point].id;
  if (!is_locked(ledger_.folder(id) / "lock") && !is_locked(RunFolder(ledger_.run(id)).lock())) return false;
  return later_ = true;
}

std::optional<std::size_t> Queue::next_point(std::int64_t& stop_after) {
  const auto fits = [&](std::size_t i, bool wanted) { return wanted && !here_[i] && mine(i) && preemptions_[i] < kMostPreemptions; };
  if (options_.asha) {
    const auto rungs = options_.asha->rungs();
    std::vector<Climber> climbers;
    for (std::size_t i = 0; i < standings_.size(); ++i) {
      const auto& s = standings_[i];
      const bool out = (s.state == State::kFailed && !again_[i]) || (s.starts == 0 && !may_begin());
      Climber climber{.rungs = s.rungs, .begun = begun(s) || again_[i], .busy = !fits(i, !out)};
      if (!climber.busy && climber.begun) climber.busy = busy(i);
      climbers.push_back(std::move(climber));
    }
    const auto climb = next_climb(climbers, rungs.size(), options_.asha->factor, options_.goal);
    if (!climb) return std::nullopt;
    stop_after = rungs[climb->rung];
    return climb->point;
  }
  stop_after = 0;
  if (share_.failed_only) {
    for (std::size_t i = 0; i < standings_.size(); ++i)
      if (fits(i, again_[i] || (touched_[i] && begun(standings_[i]))) && !busy(i)) return i;
    return std::nullopt;
  }
  for (std::size_t i = 0; i < standings_.size(); ++i)
    if (fits(i, begun(standings_[i])) && !busy(i)) return i;
  for (std::size_t i = 0; i < standings_.size(); ++i)
    if (fits(i, standings_[i].state == State::kWaiting) && may_begin() && !busy(i)) return i;
  return std::nullopt;
}

std::optional<Task> Queue::take() {
  make_folder(ledger_.root());
  const WaitingLock lock(ledger_.root() / "queue.lock", "takes a point of this sweep");
  refresh();
  later_ = false;
  Task task;
  const auto point = next_point(task.stop_after);
  if (!point) return std::nullopt;
  task.point = *point;
  const auto& id = plan_.points()[task.point].id;
  task.hold = std::make_shared<Hold>(ledger_.folder(id), "the point " + id);
  auto& standing = standings_[task.point];
  standing.state = State::kRunning;
  standing.starts += 1;
  standing.error.clear();
  ledger_.write(id, standing);
  here_[task.point] = touched_[task.point] = true;
  again_[task.point] = false;
  later_ = false;
  return task;
}

const Standing& Queue::ended(const Task& task, int exit_code, double seconds, bool asked) {
  const auto& id = plan_.points()[task.point].id;
  auto& standing = standings_[task.point];
  const auto verdict = [&]() -> Verdict {
    try {
      return judge(ledger_.run(id), ledger_.log(id), exit_code, asked, options_);
    } catch (const Error& error) {  // a file of the run's is damaged: that is the point's failure, not the sweep's
      return {.state = State::kFailed, .error = error.what(), .value = {}};
    }
  }();
  standing.state = verdict.state;
  standing.error = verdict.error;
  standing.exit_code = exit_code;
  standing.seconds += seconds;
  if (verdict.state != State::kPreempted) {
    standing.value = verdict.value;
    standing.step = verdict.step;
  } else if (!asked) {
    ++preemptions_[task.point];
  }
  if (options_.asha && verdict.state == State::kFinished) {
    standing.rungs.push_back(*verdict.value);
    if (standing.rungs.size() < options_.asha->rungs().size()) standing.state = State::kStopped;
  } else if (options_.asha && verdict.state == State::kDiverged) {
    standing.rungs.push_back(std::numeric_limits<double>::infinity());
  }
  ledger_.write(id, standing);
  here_[task.point] = false;
  return standing;
}

std::int64_t Queue::count(State state) const {
  return std::count_if(standings_.begin(), standings_.end(), [&](const Standing& s) { return s.state == state; });
}

bool Queue::any_failed() const {
  for (std::size_t i = 0; i < standings_.size(); ++i)
    if (mine(i) && standings_[i].state == State::kFailed) return true;
  return false;
}

bool Queue::any_preempted() const {
  for (std::size_t i = 0; i < standings_.size(); ++i)
    if (touched_[i] && standings_[i].state == State::kPreempted) return true;
  return false;
}

}  // namespace herd::sweep
