#include "launch/sweep_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <tuple>

#include "launch/command_line.h"
#include "launch/run_config.h"
#include "runtime/base/affinity.h"
#include "runtime/base/child_process.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/report/metrics.h"
#include "runtime/report/text_table.h"
#include "sweep/report.h"
#include "sweep/runner.h"
#include "sweep/slurm_array.h"

namespace herd {
namespace {

namespace fs = std::filesystem;
using sweep::State;

struct SweepArguments {
  std::vector<std::string> words;  ///< the file, then the sweep's own keys
  std::string worker;              ///< `I/N`
  std::int64_t slots = 0;          ///< 0: as the file says
  bool dry_run = false, failed = false, slurm = false, report = false;
};

// A point as `herd train` would take it.
ConfigNode resolve_point(const ConfigNode& tree) {
  const auto run = resolve_tree(tree);
  run.require_trainable();
  return run.tree;
}

sweep::SweepFile read_file_of(const SweepArguments& arguments) {
  const auto sources = recipe_and_overrides(arguments.words);
  if (sources.file.empty()) throw ConfigError({.who = "command line", .found = "no sweep", .expected = "herd sweep SWEEP.yaml [key=value…]", .remedy = ""});
  auto file = sweep::read_sweep(sources.file, sources.overrides);
  if (arguments.slots > 0) file.options.run.slots = arguments.slots;
  return file;
}

// A metric of records that are not held out never comes.
void refuse_metric_that_never_comes(const sweep::SweepFile& file, const sweep::Plan& plan) {
  const auto& metric = file.options.metric;
  if (metric != metric::kHeldOutLoss && metric != metric::kPerplexity) return;
  const auto config = plan.config(plan.points().front(), "none");
  const bool none = to_flow(*config.at_path("data.held_out")) == "0", never = to_flow(*config.at_path("train.evaluate_every")) == "never";
  if (none || never)
    throw ConfigError({.who = file.origin("metric").place(), .found = fmt::format("'metric' is {}, where {}", metric, none ? "data.held_out is 0" : "train.evaluate_every is never"),
                       .expected = "records that are held out, and evaluated", .remedy = none ? "set: {data.held_out: 0.05}" : "set: {train.evaluate_every: 1 epoch}"});
}

// `I/N`
std::pair<std::int64_t, std::int64_t> part_of(const std::string& text) {
  std::int64_t part = -1, parts = 0;
  const auto* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, part);
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, parts);
    if (second.ec == std::errc{} && second.ptr == end && part >= 0 && part < parts) return {part, parts};
  }
  throw ConfigError({.who = "--worker", .found = "'" + text + "'", .expected = "I/N with I from 0 to N - 1, such as 3/20", .remedy = ""});
}

void print_plan(const sweep::SweepFile& file, const sweep::Plan& plan, const std::vector<sweep::Standing>& standings) {
  constexpr std::size_t kMost = 200;
  std::vector<std::vector<std::string>> rows{{"point", "state", "what"}};
  for (std::size_t i = 0; i < std::min(plan.points().size(), kMost); ++i) rows.push_back({plan.points()[i].id, name(standings[i].state), plan.title(plan.points()[i])});
  fmt::print("{}", text_table(rows, "lll"));
  if (plan.points().size() > kMost) fmt::print("… and {} more\n", plan.points().size() - kMost);
  fmt::print("{} in {}", plural(std::ssize(plan.points()), "point"), file.options.folder);
  if (plan.same() > 0) fmt::print("; {} left out that equal another", plural(static_cast<std::int64_t>(plan.same()), "setting"));
  fmt::print("\n");
}

// The last line that it said: warnings stand before it.
std::string output_of(const std::vector<std::string>& command, const fs::path& file) {
  File output(file, File::Mode::replace);
  ChildProcess child({.command = command, .environment = {}, .folder = {}, .output = output.descriptor()});
  const auto code = child.wait();
  auto text = read_file(file);
  while (text.ends_with('\n')) text.pop_back();
  if (code != 0) throw IoError({.who = command.front(), .found = fmt::format("exit code {}: {}", code, text), .expected = "a job", .remedy = "the sweep's 'slurm' holds options of sbatch"});
  return text.substr(text.rfind('\n') + 1);
}

int submit_array(const SweepArguments& arguments, const sweep::SweepFile& file, const sweep::Plan& plan, const sweep::Ledger& ledger) {
  constexpr std::int64_t kMostElements = 1000;  // SLURM's MaxArraySize is 1001 where nobody changed it
  const auto& options = file.options;
  const auto workers = std::min({std::ssize(plan.points()), kMostElements, options.asha ? options.run.slots : kMostElements});
  const sweep::ArrayJob job{.program = fs::read_symlink("/proc/self/exe"), .arguments = sweep::shell_words(arguments.words), .folder = fs::absolute(ledger.root()), .workers = workers};
  const auto array = sweep::array_script(job, options), report = sweep::report_script(job);
  if (arguments.dry_run) {
    fmt::print("{}", array);
    return kExitSuccess;
  }
  const auto array_file = ledger.root() / "array.sbatch", report_file = ledger.root() / "report.sbatch";
  make_folder(ledger.root());
  write_file_atomically(array_file, array);
  write_file_atomically(report_file, report);
  const auto id = output_of({"sbatch", "--parsable", array_file.string()}, ledger.root() / "sbatch.txt");
  log_info("job {}: {}, {} at once; {}", id, plural(workers, "element"), options.run.slots, array_file.string());
  const auto after = output_of({"sbatch", "--parsable", "--dependency=afterany:" + id.substr(0, id.find(';')), report_file.string()}, ledger.root() / "sbatch.txt");
  log_info("job {}: the report, after it", after);
  return kExitSuccess;
}

int code_of(const sweep::Queue& queue, Signal signal) {
  if (signal != Signal::none) return exit_code(signal);
  if (queue.any_failed()) return kExitFailure;
  return queue.any_preempted() ? kExitPreempted : kExitSuccess;
}

void tell_end(const sweep::Queue& queue, const sweep::Plan& plan, const sweep::SweepFile& file, const sweep::Ledger& ledger) {
  std::vector<std::string> parts;
  for (const auto state : {State::kFinished, State::kStopped, State::kDiverged, State::kFailed, State::kPreempted, State::kRunning, State::kWaiting})
    if (const auto count = queue.count(state)) parts.push_back(fmt::format("{} {}", count, name(state)));
  log_info("{}: {}", plural(std::ssize(plan.points()), "point"), join(parts));
  const auto rows = rows_of(plan, queue.standings(), file.options);
  if (!rows.empty() && rows.front().mean)
    log_info("the best: {} {:.4f} with {}", file.options.metric, *rows.front().mean, plan.title(plan.points()[rows.front().points.front()]));
  log_info("report: {}", (ledger.root() / "report.html").string());
}

int run_sweep(const SweepArguments& arguments, const sweep::SweepFile& file, const sweep::Plan& plan, const sweep::Ledger& ledger) {
  const auto& options = file.options;
  const bool alone = arguments.worker.empty();
  std::optional<sweep::Hold> hold;
  if (alone) {
    hold.emplace(ledger.root(), "the sweep");
    write_file_atomically(ledger.root() / "sweep.yaml", to_yaml(file.tree, true));
  }
  sweep::Share share{.failed_only = arguments.failed};
  if (!alone) std::tie(share.part, share.parts) = part_of(arguments.worker);
  make_folder(ledger.root());
  sweep::Queue queue(plan, ledger, options, share);
  sweep::Reporter reporter(file, plan, ledger);
  if (arguments.report) {
    reporter.write(queue.standings());
    tell_end(queue, plan, file, ledger);
    return code_of(queue, Signal::none);
  }
  const Signals signals;
  const auto* devices = std::getenv("CUDA_VISIBLE_DEVICES");
  const auto signal = run_points(plan, ledger, queue, options,
                                 {.program = fs::read_symlink("/proc/self/exe"),
                                  .slots = alone ? options.run.slots : 1,
                                  .cores = usable_cpus(),
                                  .devices = devices ? devices : "",
                                  .signal = [&] { return signals.pending(); },
                                  .changed = [&] {
                                    if (alone) reporter.write_now_and_then(queue.standings());
                                  }});
  if (alone) {
    reporter.write(queue.standings());
    tell_end(queue, plan, file, ledger);
  }
  return code_of(queue, signal);
}

}  // namespace

int sweep_command(int argc, char** argv) {
  CLI::App app("Runs many points of one recipe and says which is best. Started again, it goes on.", "herd sweep");
  SweepArguments arguments;
  std::string key;
  app.add_option("sweep", arguments.words, "a sweep's YAML file, then its own keys as key=value (points=5, set.train.epochs=1)");
  app.add_flag("--dry-run", arguments.dry_run, "resolve and list the points, with how far they are; with --slurm, show the script");
  app.add_flag("--failed", arguments.failed, "run those that have failed, and no others");
  app.add_option("--slots", arguments.slots, "points that run side by side, in place of run.slots")->check(CLI::Range(1, 1024));
  app.add_flag("--report", arguments.report, "write table, pictures and report anew, and run nothing");
  app.add_flag("--slurm", arguments.slurm, "submit the points as an array of SLURM jobs, and a job for the report after them");
  app.add_option("--worker", arguments.worker, "I/N: run the points of element I of N, beside other processes that have the others");
  auto* explain = app.add_option("--explain", key, "document a key of the sweep's file, or all of them")->expected(0, 1)->type_name("KEY");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  if (explain->count() > 0) {
    std::cout << sweep::explain_sweep(key);
    return kExitSuccess;
  }
  const auto file = read_file_of(arguments);
  const sweep::Plan plan(file, resolve_point);
  refuse_metric_that_never_comes(file, plan);
  const sweep::Ledger ledger(file.options.folder);
  if (arguments.slurm) return submit_array(arguments, file, plan, ledger);
  if (arguments.dry_run) {
    std::vector<sweep::Standing> standings;
    for (const auto& point : plan.points()) standings.push_back(ledger.read(point.id));
    print_plan(file, plan, standings);
    return kExitSuccess;
  }
  return run_sweep(arguments, file, plan, ledger);
}

}  // namespace herd
