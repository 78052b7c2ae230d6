#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "launch/launcher/launch_options.h"
#include "launch/launcher/mpirun.h"
#include "launch/launcher/supervise.h"

namespace herd {

/// Starts herd's subcommands on ranks: mpirun as it was found, the network, and what goes with each start.
class Starter {
 public:
  /// @throws ConfigError for an mpirun that herd's ranks cannot be started by, and an unknown fabric; IoError where there is none.
  explicit Starter(StartOptions options);

  /// @param program a subcommand and its arguments.
  std::vector<std::string> command(const Hosts& placed, const std::vector<std::string>& program) const;
  /// The same for a shell, with the variables of the network before it.
  std::string shell_line(const Hosts& placed, const std::vector<std::string>& program) const;
  /// The same, ready to be run.
  Supervision supervision(const Hosts& placed, const std::vector<std::string>& program) const;
  const Mpirun& mpirun() const { return mpirun_; }
  const Fabric& fabric() const { return fabric_; }

 private:
  StartOptions options_;
  Mpirun mpirun_;
  Fabric fabric_;
  std::map<std::string, std::string> environment_;  ///< of the fabric, where the user has not set it
  std::set<std::string> names_;                     ///< of all variables that ranks would have
};

}  // namespace herd
