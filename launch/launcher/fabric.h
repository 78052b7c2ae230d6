#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/config.h"

namespace herd {

/// What a kind of network asks of NCCL and MPI: a file of cluster/fabrics.
struct Fabric {
  std::string name;                      ///< the file's, without .yaml
  std::string summary;
  std::string link_layer;                ///< of the adapters by which it is known (/sys/class/infiniband/*/ports/*/link_layer); empty: any machine's
  std::vector<std::string> environment;  ///< NAME=VALUE; what the user has set himself goes before it
  std::vector<std::string> mca;          ///< NAME=VALUE for mpirun --mca

  void validate() const;
};

void describe(Schema& s, Fabric& o);

/// The folder of the installation's fabrics, or the environment's HERD_FABRICS.
std::filesystem::path fabrics_folder();
/// Every fabric of a folder, by name. @throws ConfigError naming file and key.
std::vector<Fabric> read_fabrics(const std::filesystem::path& folder);
/// Link layers of this machine's RDMA adapters: `InfiniBand`, `Ethernet` (RoCE).
std::set<std::string> link_layers(const std::filesystem::path& adapters = "/sys/class/infiniband");
/// `name`, or for `auto` the first whose link layer is among `present`, else one that needs none. @throws ConfigError for an unknown name.
Fabric choose_fabric(const std::vector<Fabric>& fabrics, const std::string& name, const std::set<std::string>& present);

/// `NAME=VALUE` in two. Checked by Fabric::validate.
std::pair<std::string, std::string> assignment(const std::string& text);

}  // namespace herd
