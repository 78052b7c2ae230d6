#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launch/launcher/hosts.h"
#include "launch/launcher/launch_options.h"
#include "launch/launcher/start.h"
#include "runtime/base/signals.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// What stands behind `herd launch … --`.
struct LaunchedRun {
  std::vector<std::string> arguments;          ///< a subcommand and its arguments
  std::filesystem::path runs_folder = "runs";  ///< run.folder
  std::string name;                            ///< run.name; empty where the date will give it
  bool trains = false;                         ///< herd train: started again where need be
  Spread spread{};
  double timeout_s = 600;                      ///< parallel.timeout_s
};

/// Reads the recipe of `train`; other subcommands are taken as they are. @throws ConfigError for an unknown subcommand or what does not fit in the recipe.
LaunchedRun resolve_launched(const std::vector<std::string>& program);

/// Starts it with `ranks` ranks on `hosts`, and again as RestartPolicy says, from the run's last checkpoint and without hosts that are lost; each try is a line of RUN/launch.jsonl.
/// @return the exit code: that of the last try, kExitGivenUp where another cannot help.
int see_through(const LaunchOptions& options, LaunchedRun run, const Starter& starter, Hosts hosts, int ranks, const Signals& signals);

}  // namespace herd
