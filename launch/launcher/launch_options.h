#pragma once
#include <string>
#include <vector>

#include "launch/launcher/hosts.h"

namespace CLI {
class App;
}

namespace herd {

/// Where and how ranks are started: what `herd launch` and `herd doctor` share.
struct StartOptions {
  int ranks = 0;  ///< 0: as many as the hosts have room for
  std::string hosts, hostfile;
  std::string mpirun = "mpirun", fabric = "auto", bind_to = "none", map_by = "slot";
  std::vector<std::string> more;  ///< options of the user's own for mpirun

  /// The hosts of the command line, else those of the SLURM job, else this machine with room for `ranks`. @throws ConfigError.
  Hosts resolve_hosts() const;
};
void declare(CLI::App& app, StartOptions& o);

/// The options of `herd launch`.
struct LaunchOptions {
  StartOptions start;
  int restarts = 3;
  bool dry_run = false, check = true, leave_out_slow = false, prefix = true;
  double grace_s = 600, hang_s = 30, probe_s = 10;
  std::vector<std::string> program;  ///< what stands behind `--`: a subcommand of herd and its arguments
};
void declare(CLI::App& app, LaunchOptions& o);

}  // namespace herd
