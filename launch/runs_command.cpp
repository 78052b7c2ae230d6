#include "launch/runs_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "launch/command_line.h"
#include "launch/runs/compare_runs.h"
#include "launch/runs/follow.h"
#include "launch/runs/show.h"
#include "launch/runs/stop.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string folder = "runs", picture;
  std::vector<std::string> runs;
  bool json = false, follow = false, wait = false;
  std::size_t lines = 10;
  double timeout_s = 0;

  RunFolder run() const { return find_run(runs.front()); }
};

int list(const Arguments& a) {
  const auto runs = summaries_in(a.folder);
  std::fputs((a.json ? runs_json(runs) : runs.empty() ? "no runs in " + a.folder + "\n" : runs_table(runs)).c_str(), stdout);
  std::fflush(stdout);
  int code = kExitSuccess;
  for (const auto& run : runs) {
    if (run.state != RunState::kDamaged) continue;
    fmt::print(stderr, "error: {}: {}\n", run.folder.root().string(), run.detail);
    code = kExitFailure;
  }
  return code;
}

int show(const Arguments& a) {
  const auto folder = a.run();
  const auto run = summarise(folder, queue_for({folder}));
  std::fputs((a.json ? runs_json({run}) : describe_run(run)).c_str(), stdout);
  return kExitSuccess;
}

int compare(const Arguments& a) {
  std::vector<RunFolder> runs;
  for (const auto& name : a.runs) runs.push_back(find_run(name));
  const auto comparison = compare_runs(runs);
  std::fputs((a.json ? comparison_json(comparison) : comparison_text(comparison)).c_str(), stdout);
  if (a.picture.empty()) return kExitSuccess;
  const auto picture = comparison_curves(comparison, runs);
  write_file_atomically(a.picture, fs::path(a.picture).extension() == ".svg" ? picture.svg() : picture.png());
  return kExitSuccess;
}

int tail(const Arguments& a) {
  tail_run(a.run(), a.lines, a.follow);
  return kExitSuccess;
}

int stop(const Arguments& a) {
  const auto folder = a.run();
  fmt::print("{}\n", stop_run(folder));
  std::fflush(stdout);
  if (!a.wait) return kExitSuccess;
  wait_for_end(folder, a.timeout_s > 0 ? std::optional(a.timeout_s) : std::nullopt);
  const auto run = summarise(folder, queue_for({folder}));
  fmt::print("{} at step {}: {}\n", name(run.state), run.step.value_or(0), run.detail);
  return run.state == RunState::kFailed ? kExitFailure : kExitSuccess;
}

}  // namespace

int runs_command(int argc, char** argv) {
  CLI::App app("What runs there are, and how it stands with them (docs/runs.md).", "herd runs");
  Arguments a;
  int (*chosen)(const Arguments&) = list;
  app.add_option("folder", a.folder, "a folder that holds runs")->capture_default_str();
  app.add_flag("--json", a.json, "for machines");
  const auto add = [&](const char* name, const char* summary, int (*run)(const Arguments&)) {
    auto* command = app.add_subcommand(name, summary);
    command->add_option("run", a.runs, "a run's folder, or its name in runs/")->required()->expected(run == compare ? -1 : 1);
    command->final_callback([&chosen, run] { chosen = run; });
    return command;
  };
  app.require_subcommand(0, 1);
  add("show", "all that is known of one", show)->add_flag("--json", a.json, "its line of the list, for machines");
  auto* command = add("compare", "what recipes say differently, and what came of it", compare);
  command->add_flag("--json", a.json, "for machines");
  command->add_option("--picture", a.picture, "draw their loss curves there, as .png or .svg");
  command = add("tail", "the end of its log", tail);
  command->add_option("-n,--lines", a.lines, "so many lines")->capture_default_str();
  command->add_flag("-f,--follow", a.follow, "go on with what comes, until the run has ended");
  command = add("stop", "save and end; not to be queued again", stop);
  command->add_flag("--wait", a.wait, "until it has");
  command->add_option("--timeout", a.timeout_s, "seconds of --wait after which it is an error; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return chosen(a);
}

}  // namespace herd
