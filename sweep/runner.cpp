#include "sweep/runner.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <sstream>
#include <thread>

#include "runtime/base/child_process.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/report/progress.h"
#include "runtime/report/status_line.h"

namespace herd::sweep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLookAgain = std::chrono::milliseconds(50);

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

class Runner {
 public:
  Runner(const Plan& plan, const Ledger& ledger, Queue& queue, const SweepOptions& options, const RunnerOptions& how)
      : plan_(plan), ledger_(ledger), queue_(queue), options_(options), how_(how) {}

  Signal run() {
    try {
      while (how_.signal() == Signal::none) {
        const bool waits = fill();
        if (runs_.empty() && !waits) return Signal::none;
        show();
        std::this_thread::sleep_for(kLookAgain);
        reap(false);
      }
      log_info("{}: {} told to save", name(how_.signal()), plural(std::ssize(runs_), "run"));
      stop();
      return how_.signal();
    } catch (...) {
      try {
        stop();
      } catch (const std::exception& error) {
        log_warning("{}", error.what());  // what came first is told
      }
      throw;
    }
  }

 private:
  struct Run {
    Task task;
    std::int64_t slot;
    Clock::time_point began;
    File log;
    ChildProcess child;
  };

  // Begins what there is place for. Whether there is more to do that cannot be begun now.
  bool fill() {
    while (std::ssize(runs_) < how_.slots && !out_of_time()) {
      if (Clock::now() < next_look_) return queue_.later();
      auto task = queue_.take();
      if (!task) {
        next_look_ = Clock::now() + std::chrono::milliseconds(500);
        return queue_.later();
      }
      begin(std::move(*task));
    }
    return false;
  }

  bool out_of_time() {
    const auto hours = options_.budget.hours;
    if (hours == 0 || seconds_since(began_) < 3600 * hours) return false;
    if (!told_) log_info("budget.hours, {:g}, are over: no more points are begun", hours);
    return told_ = true;
  }

  void begin(Task task) {
    const auto& point = plan_.points()[task.point];
    const auto config = plan_.config(point, ledger_.folder(point.id));
    write_file_atomically(ledger_.config(point.id), to_yaml(config, true));
    std::int64_t slot = 0;
    while (std::any_of(runs_.begin(), runs_.end(), [&](const Run& run) { return run.slot == slot; })) ++slot;
    std::map<std::string, std::string> environment;
    const auto* device = config.at_path("model.device");
    if (how_.slots > 1 && device && device->text == "cuda") environment["CUDA_VISIBLE_DEVICES"] = devices_of(slot, options_.run.ranks, how_.devices);
    File log(ledger_.log(point.id), File::Mode::append);
    const auto output = log.descriptor();
    ChildProcess child({.command = command_of(task, config, ledger_.config(point.id), options_, how_), .environment = environment, .folder = {}, .output = output});
    const auto until = task.stop_after > 0 ? fmt::format(", to step {}", task.stop_after) : "";
    log_info("point {} begins: {}{}", point.id, plan_.title(point), until);
    runs_.push_back({std::move(task), slot, Clock::now(), std::move(log), std::move(child)});
  }

  void reap(bool asked) {
    for (auto run = runs_.begin(); run != runs_.end();) {
      const auto code = run->child.ended();
      if (!code) {
        ++run;
        continue;
      }
      run->child.signal(SIGKILL);  // what it left behind
      const auto seconds = seconds_since(run->began);
      const auto& standing = queue_.ended(run->task, *code, seconds, asked);
      tell(plan_.points()[run->task.point], standing, seconds);
      run = runs_.erase(run);
      next_look_ = {};
      how_.changed();
    }
  }

  void tell(const Point& point, const Standing& standing, double seconds) const {
    auto line = fmt::format("point {} {} after {}", point.id, name(standing.state), human_time(seconds));
    if (standing.value) line += fmt::format(": {} {:.4g} at step {}", options_.metric, *standing.value, standing.step);
    if (standing.state == State::kFailed || standing.state == State::kDiverged) log_warning("{}: {}", line, standing.error);
    else log_info("{}", line);
  }

  void stop() {
    for (auto& run : runs_) run.child.signal(SIGUSR1);
    while (!runs_.empty()) {
      std::this_thread::sleep_for(kLookAgain);
      reap(true);
    }
  }

  void show() {
    if (!line_.due()) return;
    auto text = fmt::format("{} of {}", queue_.count(State::kFinished) + queue_.count(State::kStopped), plural(std::ssize(plan_.points()), "point"));
    for (const auto state : {State::kDiverged, State::kFailed})
      if (const auto count = queue_.count(state)) text += fmt::format(", {} {}", count, name(state));
    line_.show(text + fmt::format("; {} at work, {}", runs_.size(), human_time(seconds_since(began_))));
  }

  const Plan& plan_;
  const Ledger& ledger_;
  Queue& queue_;
  const SweepOptions& options_;
  const RunnerOptions& how_;
  std::list<Run> runs_;
  Clock::time_point began_ = Clock::now(), next_look_{};
  bool told_ = false;
  StatusLine line_;
};

}  // namespace

std::vector<std::string> command_of(const Task& task, const ConfigNode& config, const std::filesystem::path& file, const SweepOptions& options, const RunnerOptions& how) {
  std::vector<std::string> command;
  if (options.run.ranks > 1) {
    command = words_of(options.run.launcher);
    command.insert(command.end(), {"-n", std::to_string(options.run.ranks)});
  }
  command.insert(command.end(), {how.program.string(), "train", file.string(), "resume=auto"});
  const auto* threads = config.at_path("model.threads");
  const bool said = threads && threads->origin.source != Origin{}.source;
  if (!said) command.push_back(fmt::format("model.threads={}", std::max<std::int64_t>(1, how.cores / (how.slots * options.run.ranks))));
  if (task.stop_after > 0) command.push_back(fmt::format("train.stop_after={}", task.stop_after));
  return command;
}

std::string devices_of(std::int64_t slot, std::int64_t ranks, const std::string& visible) {
  std::vector<std::string> all, own;
  std::istringstream stream(visible);
  for (std::string device; std::getline(stream, device, ',');) all.push_back(device);
  for (auto i = slot * ranks; i < (slot + 1) * ranks; ++i) {
    if (visible.empty()) own.push_back(std::to_string(i));
    else if (i < std::ssize(all)) own.push_back(all[static_cast<std::size_t>(i)]);
    else
      throw ConfigError({.who = "run.slots", .found = fmt::format("slot {} of {} with CUDA_VISIBLE_DEVICES={}", slot + 1, plural(ranks, "rank"), visible),
                         .expected = "a GPU for each rank of each slot", .remedy = "fewer run.slots"});
  }
  return join(own, ",");
}

Signal run_points(const Plan& plan, const Ledger& ledger, Queue& queue, const SweepOptions& options, const RunnerOptions& how) {
  return Runner(plan, ledger, queue, options, how).run();
}

}  // namespace herd::sweep
