#pragma once
#include <string>
#include <vector>

#include "launch/launcher/hosts.h"

namespace herd {

/// A host that did not answer.
struct Silent {
  std::string host;
  std::string said;  ///< by the program that was to reach it; empty where it only took too long
};

/// Asks every host that is not this one for a sign of life, all at once, by the program with which mpirun reaches it: OMPI_MCA_plm_rsh_agent, in a SLURM job srun, else ssh.
/// @param timeout_s for all of them.
std::vector<Silent> silent_hosts(const Hosts& hosts, double timeout_s);

/// The command that has `host` do nothing, as silent_hosts runs it.
std::vector<std::string> probe_command(const std::string& host);

}  // namespace herd
