#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// A host and the ranks that it has room for, or, once they are placed, that run there.
struct Host {
  std::string name;
  int slots = 1;

  bool operator==(const Host&) const = default;
};
using Hosts = std::vector<Host>;

/// `a:8,b:8`; without a number 1, as mpirun has it. A host named twice has the sum. @throws ConfigError naming what does not fit.
Hosts parse_hosts(std::string_view text);
/// A host a line: `a slots=8`, `a:8` or `a`; `#` begins a comment. @throws ConfigError naming file and line, IoError.
Hosts read_hostfile(const std::filesystem::path& file);
/// What SLURM gives a job: SLURM_JOB_NODELIST (`n[1-3,7],login`) and SLURM_TASKS_PER_NODE (`8(x3),4`). @throws ConfigError.
Hosts slurm_hosts(std::string_view nodes, std::string_view tasks_per_node);

int slots(const Hosts& hosts);
/// `a:8,b:8`.
std::string text(const Hosts& hosts);
/// `hosts` less those named.
Hosts without(const Hosts& hosts, const std::vector<std::string>& names);
/// Whether a name is this machine's: localhost, its host name, or an address of one of its interfaces.
bool is_here(const std::string& name);

/// What a run's strategy asks of the placing (parallel.strategy, parallel.shard_degree).
struct Spread {
  std::string strategy = "ddp";
  std::int64_t shard_degree = 0;
};

/// The most ranks, at most `wanted`, that these hosts have room for and the strategy can be spread over, filled in order; hosts without a rank
/// are left out. hsdp wants a multiple of its degree, and without one as many ranks on each host.
/// @return empty where not even one rank fits so.
Hosts place_ranks(const Hosts& hosts, int wanted, const Spread& spread);

}  // namespace herd
