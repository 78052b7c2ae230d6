#include "launch/launcher/launch_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "launch/command_line.h"
#include "runtime/base/error.h"

namespace herd {

Hosts StartOptions::resolve_hosts() const {
  if (!hosts.empty() && !hostfile.empty())
    throw ConfigError({.who = "command line", .found = "--hosts and --hostfile", .expected = "one of them", .remedy = ""});
  if (!hosts.empty()) return parse_hosts(hosts);
  if (!hostfile.empty()) return read_hostfile(hostfile);
  const auto *nodes = std::getenv("SLURM_JOB_NODELIST"), *tasks = std::getenv("SLURM_TASKS_PER_NODE");
  if (nodes && tasks) return slurm_hosts(nodes, tasks);
  if (ranks == 0) throw ConfigError({.who = "command line", .found = "neither ranks nor hosts", .expected = "-n N, --hosts a:8,b:8 or --hostfile FILE", .remedy = ""});
  return {{.name = "localhost", .slots = ranks}};
}

void declare(CLI::App& app, StartOptions& o) {
  app.add_option("-n,--ranks", o.ranks, "ranks in all; default: as many as the hosts have slots")->check(CLI::PositiveNumber);
  app.add_option("--hosts", o.hosts, "hosts and their slots, such as a:8,b:8; default: those of the SLURM job, else this machine");
  app.add_option("--hostfile", o.hostfile, "the same from a file, a host a line: a slots=8");
  app.add_option("--mpirun", o.mpirun, "Open MPI's mpirun, 4 or 5")->capture_default_str();
  app.add_option("--fabric", o.fabric, "network, one of cluster/fabrics: what NCCL and MPI are told of it; auto, or none")->capture_default_str();
  app.add_option("--bind-to", o.bind_to, "what mpirun binds a rank to: none, core, numa, socket, …")->capture_default_str();
  app.add_option("--map-by", o.map_by, "how mpirun places ranks: slot, ppr:4:socket, …")->capture_default_str();
  declare_list(app, "--mpirun-option", o.more, "a word for mpirun's command line; as often as needed: --mpirun-option=--mca …");
}

void declare(CLI::App& app, LaunchOptions& o) {
  declare(app, o.start);
  app.add_option("--restarts", o.restarts, "failures after which a run is started again; pre-emptions and lost hosts do not count; 0: never again")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--dry-run", o.dry_run, "show mpirun's command line and start nothing");
  app.add_flag("!--no-check,--check", o.check, "herd doctor, the quick form, before the first start; the default");
  app.add_flag("--leave-out-slow", o.leave_out_slow, "start without hosts that the check finds slow");
  app.add_flag("!--no-prefix,--prefix", o.prefix, "the rank before each of its lines; the default");
  app.add_option("--grace", o.grace_s, "seconds that ranks have to save and end after a signal")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--hang-after", o.hang_s, "seconds after a rank's failure in which mpirun has to end by itself")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--probe-timeout", o.probe_s, "seconds in which a host has to answer")->check(CLI::PositiveNumber)->capture_default_str();
}

}  // namespace herd
