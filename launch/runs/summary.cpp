#include "launch/runs/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "launch/jobs/job_record.h"
#include "launch/run_end.h"
#include "runtime/base/config_node.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/report/metrics.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

// Folders bear the time of a coarse clock, maybe of a file server's; a run that goes on takes longer to start.
constexpr double kClocks_s = 1;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Seconds since 1970 of the result's folder; nothing where there is none.
std::optional<double> result_time_s(const RunFolder& folder) {
  for (const auto& result : {folder.adapter(), folder.model()}) {
    if (!fs::is_directory(result)) continue;
    const auto time = std::chrono::file_clock::to_sys(fs::last_write_time(result));
    return std::chrono::duration<double>(time.time_since_epoch()).count();
  }
  return std::nullopt;
}

// @return when the last step was done.
double take_metrics(const RunFolder& folder, RunSummary& summary) {
  double last_s = 0;
  if (!fs::exists(folder.metrics())) return last_s;
  for (const auto& line : read_metrics(folder.metrics())) {
    const auto keep = [&](const char* key, std::optional<double>& value) {
      if (const auto found = line.get(key)) value = found;
    };
    if (line.get(metric::kLoss)) last_s = line.time_s;
    summary.step = std::max(summary.step.value_or(0), line.step);
    keep(metric::kLoss, summary.loss);
    keep(metric::kHeldOutLoss, summary.held_out_loss);
    keep(metric::kTokensPerS, summary.tokens_per_s);
  }
  return last_s;
}

void judge_ended(const RunFolder& folder, double last_step_s, RunSummary& summary) {
  const auto end = run_end(folder);
  const auto result_s = result_time_s(folder);
  if (end.cause) {
    summary.state = RunState::kFailed;
    summary.detail = fmt::format("rank {} on {}: {}", end.cause->rank, end.cause->host, first_line(end.cause->message));
  } else if (!end.orderly) {
    summary.state = RunState::kFailed;
    summary.detail = "ended without a word" + (end.findings.empty() ? "" : ": " + first_line(end.findings.front()));
  } else if (result_s && *result_s + kClocks_s >= last_step_s) {  // else it is of a run before, which this one went on with
    summary.state = RunState::kFinished;
  } else {
    summary.state = RunState::kStopped;
    summary.detail = fs::exists(folder.checkpoints() / "latest") ? "resume=auto goes on with it" : "before its first checkpoint";
  }
}

void judge(const RunFolder& folder, const QueuedJobs& queued, RunSummary& summary) {
  const auto holder = lock_holder(folder);
  const auto record = read_job(folder);
  if (record) summary.job = record->job;
  if (holder) {
    summary.started = holder->since;
    if (!holder->job.empty()) summary.job = holder->job;
  }
  if (fs::exists(folder.config())) read_yaml(folder.config());  // a torn one is told here, and not by the next run
  const auto last_step_s = take_metrics(folder, summary);
  if (holder && holder->living) {
    summary.state = RunState::kRunning;
    summary.detail = fmt::format("on {}", holder->host.empty() ? holder->text : holder->host);
    return;
  }
  if (queued && record) {
    if (const auto job = queued->find(record->job); job != queued->end()) {
      summary.job = record->job;
      summary.state = RunState::kWaiting;
      summary.detail = job->second.waits() ? fmt::format("{}: {}", job->second.state, job->second.reason) : job->second.state;
      return;
    }
  }
  if (!holder && !fs::exists(folder.config())) {
    summary.state = RunState::kNotBegun;
    summary.detail = queued || !record ? "no job in the queue" : "what became of its job is not known here: no squeue";
    return;
  }
  judge_ended(folder, last_step_s, summary);
}

}  // namespace

const char* name(RunState state) {
  switch (state) {
    case RunState::kRunning: return "running";
    case RunState::kWaiting: return "waiting";
    case RunState::kFinished: return "finished";
    case RunState::kStopped: return "stopped";
    case RunState::kFailed: return "failed";
    case RunState::kNotBegun: return "not begun";
    case RunState::kDamaged: break;
  }
  return "damaged";
}

QueuedJobs queue_for(const std::vector<RunFolder>& runs) {
  const bool any = std::ranges::any_of(runs, [](const auto& run) { return fs::exists(run.job()); });
  return any ? queued_jobs() : QueuedJobs(std::in_place);
}

RunSummary summarise(const RunFolder& folder, const QueuedJobs& queued) {
  RunSummary summary{.folder = folder};
  try {
    judge(folder, queued, summary);
  } catch (const std::exception& error) {
    summary.state = RunState::kDamaged;
    summary.detail = first_line(error.what());
  }
  return summary;
}

bool is_run_folder(const fs::path& path) {
  const RunFolder folder(path);
  std::error_code none;
  return fs::is_regular_file(folder.config(), none) || fs::is_regular_file(folder.lock(), none) || fs::is_regular_file(folder.job(), none);
}

std::vector<RunSummary> summaries_in(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error)
    throw IoError({.who = folder.string(),
                   .found = error.message(),
                   .expected = "a folder that holds runs",
                   .remedy = "herd runs FOLDER; run.folder of a recipe says where its runs lie"});
  std::vector<RunFolder> folders;
  for (const auto& entry : entries)
    if (is_run_folder(entry.path())) folders.emplace_back(entry.path());
  const auto queued = queue_for(folders);
  std::vector<RunSummary> runs;
  for (const auto& run : folders) runs.push_back(summarise(run, queued));
  std::ranges::sort(runs, {}, [](const auto& run) { return std::tuple(run.started.empty(), run.started, run.name()); });
  return runs;
}

RunFolder find_run(const std::string& name, const fs::path& runs) {
  for (const auto& place : {fs::path(name), runs / name})
    if (is_run_folder(place)) return RunFolder(place.has_filename() ? place : place.parent_path());
  std::vector<std::string> known;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(runs, none))
    if (is_run_folder(entry.path())) known.push_back(entry.path().filename().string());
  const auto close = nearest(name, known);
  throw ConfigError({.who = "run '" + name + "'",
                     .found = "no run's folder",
                     .expected = "one, or a name in " + (runs / "").string(),
                     .remedy = close.empty() ? "" : "did you mean '" + close + "'?"});
}

}  // namespace herd
