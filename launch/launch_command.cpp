#include "launch/launch_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "launch/command_line.h"
#include "launch/launcher/doctor_start.h"
#include "launch/launcher/launched_run.h"
#include "launch/launcher/probe.h"
#include "launch/launcher/start.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/launcher.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

void refuse_ranks() {
  const auto here = launcher();
  if (here.ranks <= 1 && !here.connects_ranks) return;
  throw ConfigError({.who = "herd launch", .found = "a rank that " + here.name + " has started", .expected = "one process that starts the ranks", .remedy = "leave " + here.name + " out, or run the subcommand under it as it is"});
}

Hosts place_first(const LaunchOptions& options, const Hosts& hosts, int ranks, const Spread& spread) {
  const auto placed = place_ranks(hosts, ranks, spread);
  if (slots(placed) == ranks) return placed;
  const bool room = slots(hosts) >= ranks;
  throw ConfigError({.who = options.start.ranks > 0 ? fmt::format("-n {}", ranks) : "--hosts",
                     .found = room ? fmt::format("{} ranks, which parallel.strategy={} with shard_degree={} cannot be spread over here", ranks, spread.strategy, spread.shard_degree)
                                   : fmt::format("room for {} on {}", slots(hosts), text(hosts)),
                     .expected = room ? fmt::format("for instance {}", slots(placed)) : fmt::format("room for {}", ranks),
                     .remedy = room ? "another -n, or parallel.shard_degree" : "say how many ranks a host takes: --hosts a:8,b:8"});
}

void need_answers(const Hosts& hosts, double timeout_s) {
  for (const auto& silent : silent_hosts(hosts, timeout_s))
    throw CommError({.who = "host " + silent.host,
                     .found = silent.said.empty() ? fmt::format("no answer in {:g} s", timeout_s) : silent.said,
                     .expected = "an answer to " + shell_text(probe_command(silent.host)),
                     .remedy = "leave it out of --hosts, or see that it can be reached without a password"});
}

int launch(const LaunchOptions& options) {
  auto run = resolve_launched(options.program);
  auto hosts = options.start.resolve_hosts();
  const int ranks = options.start.ranks > 0 ? options.start.ranks : slots(hosts);
  auto placed = place_first(options, hosts, ranks, run.spread);
  const Starter starter(options.start);
  if (options.dry_run) {
    fmt::print("{}\n", starter.shell_line(placed, run.arguments));
    return kExitSuccess;
  }
  const Signals signals;
  log_info("Open MPI {}, fabric {}: {}", starter.mpirun().version, starter.fabric().name, text(placed));
  if (options.check) {
    need_answers(placed, options.probe_s);
    placed = check_hosts(options, run.runs_folder.string(), starter, placed, signals);
    if (signals.pending() != Signal::none) return exit_code(signals.pending());
    if (placed.empty()) throw CommError({.who = "herd launch", .found = "no host that is not slow", .expected = "one at least", .remedy = "herd doctor tells more"});
    std::erase_if(hosts, [&](const Host& host) { return std::none_of(placed.begin(), placed.end(), [&](const Host& left) { return left.name == host.name; }); });
  }
  return see_through(options, run, starter, hosts, slots(placed), signals);
}

}  // namespace

int launch_command(int argc, char** argv) {
  CLI::App app("Starts ranks by mpirun and sees a run to its end: checks the hosts, hands signals on so that ranks save, starts again after a failure or without lost hosts.", "herd launch");
  LaunchOptions options;
  declare(app, options);
  app.footer("Behind the options: -- train RECIPE [key=value …], or another subcommand");
  auto** const end = argv + argc;
  auto** const dashes = std::find_if(argv, end, [](const char* word) { return std::strcmp(word, "--") == 0; });
  if (!parse_arguments(app, static_cast<int>(dashes - argv), argv)) return kExitSuccess;
  if (dashes != end) options.program.assign(dashes + 1, end);
  if (options.program.empty())
    throw ConfigError({.who = "command line", .found = "nothing to start", .expected = "-- and a subcommand with its arguments: -- train recipe.yaml", .remedy = "(herd launch --help)"});
  refuse_ranks();
  return launch(options);
}

}  // namespace herd
