#include "launch/launcher/launched_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/command_line.h"
#include "launch/commands.h"
#include "launch/launcher/probe.h"
#include "launch/launcher/restart_policy.h"
#include "launch/launcher/run_journal.h"
#include "launch/launcher/supervise.h"
#include "launch/run_config.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
constexpr double kParting = 30;  // s, for a rank beyond the deadline by which it ends itself

// Restarts go on in one folder, so its name cannot be left to the ranks.
RunFolder name_folder(LaunchedRun& run) {
  if (!run.name.empty()) return RunFolder(run.runs_folder / run.name);
  auto folder = new_run_folder(run.runs_folder);
  run.arguments.push_back("run.name=" + folder.root().filename().string());
  return folder;
}

// By mpirun's words, and by who does not answer now.
std::vector<std::string> lost_hosts(const Supervised& done, const Hosts& placed, double timeout_s) {
  std::vector<std::string> lost;
  for (const auto& host : placed)
    if (std::find(done.told_lost.begin(), done.told_lost.end(), host.name) != done.told_lost.end()) lost.push_back(host.name);
  for (const auto& silent : silent_hosts(placed, timeout_s))
    if (std::find(lost.begin(), lost.end(), silent.host) == lost.end()) lost.push_back(silent.host);
  return lost;
}

// When a run last took the folder for its own: it stores its recipe there.
fs::file_time_type taken_at(const RunFolder& folder) {
  std::error_code missing;
  return fs::last_write_time(folder.config(), missing);
}

std::string first_line_of(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string cause_of(const Supervised& done) {
  if (done.cause) return fmt::format("rank {} on {}: {}", done.cause->rank, done.cause->host, first_line_of(done.cause->message));
  return done.trouble;
}

int code_of(const Supervised& done) {
  constexpr int kEndedByUsr1 = 128 + 10;  // before the rank listened to signals: there was nothing to save
  if (done.stopped != Signal::none && (done.code == kExitPreempted || done.code == kEndedByUsr1)) return exit_code(done.stopped);
  return done.code;
}

class Tries {
 public:
  Tries(const LaunchOptions& options, LaunchedRun& run, const Starter& starter, Hosts hosts, int ranks, const Signals& signals)
      : options_(options), run_(run), starter_(starter), hosts_(std::move(hosts)), ranks_(ranks), signals_(signals), folder_(name_folder(run)), policy_(options.restarts) {}

  int run() {
    for (int number = 1;; ++number) {
      const auto placed = place_ranks(hosts_, ranks_, run_.spread);
      if (placed.empty()) {
        log_warning("giving up: {} of {} left, too few for parallel.strategy={}", hosts_.empty() ? "no host" : text(hosts_), plural(ranks_, "rank"), run_.spread.strategy);
        return kExitGivenUp;
      }
      const auto verdict = attempt(number, placed);
      if (!verdict.again || signals_.pending() != Signal::none) return verdict.again ? exit_code(signals_.pending()) : verdict.code;
    }
  }

 private:
  Verdict attempt(int number, const Hosts& placed) {
    auto what = starter_.supervision(placed, arguments());
    what.folder = folder_;
    what.prefix = options_.prefix;
    what.grace_s = options_.grace_s;
    what.hang_s = options_.hang_s;
    const auto began = utc_now();
    const auto taken = taken_at(folder_);
    const auto done = supervise(what, signals_);
    ours_ = ours_ || taken_at(folder_) != taken;
    TryEnd end{.code = code_of(done), .stopped = done.stopped != Signal::none, .lost = {}, .progress = progress_of(folder_)};
    const bool failed = end.code != kExitSuccess && end.code != kExitUsage && !end.stopped;
    if (failed) end.lost = lost_hosts(done, placed, options_.probe_s);
    auto verdict = policy_.after(end);
    // What the folder holds may be another run's: it is not to be gone on with, and to ask again does not help.
    if (verdict.again && !ours_ && end.lost.empty()) verdict = {.code = end.code, .why = "the run never came to its folder"};
    const auto cause = cause_of(done);
    write_try(folder_, {.number = number, .began = began, .placed = placed, .end = end, .verdict = verdict, .cause = cause});
    hosts_ = without(hosts_, end.lost);
    if (failed) tell(verdict, end, cause);
    if (verdict.again) wait_for_lock(folder_, end.lost.empty() ? kParting : run_.timeout_s + kParting, signals_);
    return verdict;
  }

  // Before the first checkpoint a run begins anew, from whatever it was to begin with.
  std::vector<std::string> arguments() const {
    auto arguments = run_.arguments;
    if (ours_ && progress_of(folder_).saved > 0) arguments.emplace_back("resume=auto");
    return arguments;
  }

  void tell(const Verdict& verdict, const TryEnd& end, const std::string& cause) const {
    log_warning("exit code {}: {}{}{}", end.code, verdict.why, cause.empty() ? "" : "; ", cause);
    const auto from = end.progress.saved > 0 ? fmt::format("from step {}", end.progress.saved) : "from the beginning";
    if (verdict.again) log_info("starting again {}, on {}", from, text(place_ranks(hosts_, ranks_, run_.spread)));
    else if (verdict.code == kExitGivenUp) log_warning("giving up: {} and {} tell more", folder_.launches().string(), folder_.errors().string());
  }

  const LaunchOptions& options_;
  LaunchedRun& run_;
  const Starter& starter_;
  Hosts hosts_;
  const int ranks_;
  const Signals& signals_;
  const RunFolder folder_;
  RestartPolicy policy_;
  bool ours_ = false;  // some try has taken the folder
};

}  // namespace

LaunchedRun resolve_launched(const std::vector<std::string>& program) {
  commands().at(program.at(0));
  LaunchedRun launched{.arguments = program, .name = {}};
  const bool asks_help = std::any_of(program.begin(), program.end(), [](const auto& word) { return word == "--help" || word == "-h"; });
  if (program[0] != "train" || asks_help) return launched;
  const auto run = resolve_run(recipe_and_overrides({program.begin() + 1, program.end()}));
  run.require_trainable();
  launched.trains = true;
  launched.runs_folder = fs::absolute(run.config.run.folder).lexically_normal();
  launched.name = run.config.run.name;
  launched.spread = {.strategy = run.config.parallel.strategy, .shard_degree = run.config.parallel.shard_degree};
  launched.timeout_s = run.config.parallel.timeout_s;
  return launched;
}

int see_through(const LaunchOptions& options, LaunchedRun run, const Starter& starter, Hosts hosts, int ranks, const Signals& signals) {
  if (run.trains) return Tries(options, run, starter, std::move(hosts), ranks, signals).run();
  auto what = starter.supervision(place_ranks(hosts, ranks, run.spread), run.arguments);
  what.prefix = options.prefix;
  what.grace_s = options.grace_s;
  return code_of(supervise(what, signals));
}

}  // namespace herd
