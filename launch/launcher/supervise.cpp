#include "launch/launcher/supervise.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "launch/launcher/output_pipe.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kLook = 100;                            // ms
constexpr auto kCauseLook = std::chrono::seconds(1);  // a shared file system is asked no oftener
constexpr auto kRest = std::chrono::seconds(1);       // for the last words
constexpr auto kMercy = std::chrono::seconds(10);     // between SIGTERM and SIGKILL for an mpirun that hangs

bool same(const std::optional<Cause>& a, const std::optional<Cause>& b) {
  return a.has_value() == b.has_value() && (!a || (a->time == b->time && a->rank == b->rank && a->message == b->message));
}

// The earliest of what was set.
class Deadline {
 public:
  void set(double seconds, std::string why) {
    const auto at = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    if (at_ && *at_ <= at) return;
    at_ = at;
    why_ = std::move(why);
  }
  bool passed() const { return at_ && Clock::now() >= *at_; }
  const std::string& why() const { return why_; }

 private:
  std::optional<Clock::time_point> at_;
  std::string why_;
};

class Supervisor {
 public:
  Supervisor(const Supervision& what, const Signals& signals)
      : what_(what), signals_(signals), former_(what.folder ? first_cause(*what.folder) : std::nullopt), child_(options(what, pipe_)) {
    pipe_.close_child_end();
  }

  Supervised to_the_end() {
    std::optional<int> code;
    while (!code) {
      pass_on(kLook);
      pass_signal_on();
      look_for_causes();
      end_where_due();
      code = child_.ended();
    }
    // What it left behind may hold the pipe open.
    for (const auto until = Clock::now() + kRest; !pipe_.at_end() && Clock::now() < until;) pass_on(kLook);
    if (!result_.trouble.empty()) child_.signal(SIGKILL);
    result_.code = result_.trouble.empty() ? *code : kExitFailure;
    look_for_causes(true);
    return result_;
  }

 private:
  static ChildOptions options(const Supervision& what, const OutputPipe& pipe) {
    auto options = what.child;
    options.output = pipe.child_end();
    return options;
  }

  void pass_on(int milliseconds) {
    if (pipe_.at_end()) std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    for (const auto& line : pipe_.lines(milliseconds)) {
      const auto told = parse_rank_line(line, what_.major);
      if (told.rank < 0)
        if (auto host = lost_host_told(line); !host.empty() && std::find(result_.told_lost.begin(), result_.told_lost.end(), host) == result_.told_lost.end())
          result_.told_lost.push_back(std::move(host));
      auto* to = told.to_stdout ? stdout : stderr;
      const auto prefix = told.rank >= 0 && what_.prefix ? fmt::format("[{}] ", told.rank) : "";
      fmt::print(to, "{}{}\n", prefix, told.text);
      std::fflush(to);
    }
  }

  void pass_signal_on() {
    const auto came = signals_.pending();
    if (came == Signal::none || result_.stopped != Signal::none) return;
    result_.stopped = came;
    log_info("{} came: the ranks are to save and end; once more ends all at once", name(came));
    ::kill(child_.id(), SIGUSR1);  // to mpirun alone: the programs that reach other hosts, of its group, would die of it
    deadline_.set(what_.grace_s, fmt::format("the ranks have not ended {:.0f} s after {}", what_.grace_s, name(came)));
  }

  void look_for_causes(bool now = false) {
    if (!what_.folder || result_.cause || (!now && Clock::now() - looked_ < kCauseLook)) return;
    looked_ = Clock::now();
    const auto cause = first_cause(*what_.folder);
    if (!cause || same(cause, former_)) return;
    result_.cause = cause;
    deadline_.set(what_.hang_s, fmt::format("mpirun has not ended {:.0f} s after rank {} on {} failed", what_.hang_s, cause->rank, cause->host));
  }

  void end_where_due() {
    if (result_.trouble.empty() && deadline_.passed()) {
      result_.trouble = deadline_.why();
      log_warning("{}: ending it", result_.trouble);
      ::kill(child_.id(), SIGTERM);
      killed_at_ = Clock::now() + kMercy;
    }
    if (!result_.trouble.empty() && Clock::now() >= killed_at_) child_.signal(SIGKILL);
  }

  const Supervision& what_;
  const Signals& signals_;
  const std::optional<Cause> former_;  // left by a run before this one
  OutputPipe pipe_;
  ChildProcess child_;
  Supervised result_;
  Deadline deadline_;
  Clock::time_point looked_{}, killed_at_{};
};

}  // namespace

Supervised supervise(const Supervision& what, const Signals& signals) { return Supervisor(what, signals).to_the_end(); }

}  // namespace herd
