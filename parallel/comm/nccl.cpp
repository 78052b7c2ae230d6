#include "parallel/comm/nccl.h"

#include <fmt/format.h>

#include <map>

#include "parallel/comm/agree.h"
#include "parallel/comm/cuda_module.h"
#include "parallel/comm/device_communicator.h"
#include "parallel/comm/mpi.h"
#include "runtime/base/launcher.h"

namespace herd {
namespace {

struct Placed {
  int device = 0;
  std::string gpu;
};

// Nothing is loaded before all ranks have found their GPUs.
Placed find_device(const Communicator& host) {
  need_cuda_module();
  const auto gpus = visible_gpus();
  const int device = device_of_rank(host.local_rank(), host.local_size(), static_cast<int>(gpus.size()), ranks_share_gpus());
  return {device, gpus[static_cast<std::size_t>(device)]};
}

// UUIDs are the world's: two ranks with one share a GPU, whatever hosts and containers call it.
void refuse_shared(Communicator& host, const std::string& gpu) {
  std::map<std::string, std::vector<int>> users;
  const auto all = all_gather_string(host, gpu);
  for (std::size_t r = 0; r < all.size(); ++r) users[all[r]].push_back(static_cast<int>(r));
  for (const auto& [name, ranks] : users) {
    if (ranks.size() == 1) continue;
    throw ConfigError({.who = "device cuda", .found = rank_list(ranks) + " on one GPU (" + name + ")", .expected = "a GPU for each rank",
                       .remedy = "start as many ranks a host as it has GPUs, or let the launcher show each rank its own", .everywhere = true});
  }
}

}  // namespace

void use_gpus(std::unique_ptr<Communicator>& host) {
  const auto deadline_s = host->options().deadline_s;
  const auto placed = agree(*host, [&] { return find_device(*host); });
  if (!ranks_share_gpus()) refuse_shared(*host, placed.gpu);
  const auto* module = agree(*host, [&] { return &cuda_module(); });
  const auto id = broadcast_string(*host, agree(*host, [&] { return host->rank() == 0 ? module->unique_id() : std::string(); }));
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(deadline_s));
  auto link = agree(*host, [&] {
    return module->connect(id, host->rank(), host->size(), placed.device, [&] {
      if (Clock::now() < deadline) return;
      throw CommError({.who = "NCCL", .found = fmt::format("no communicator after {:g} s", deadline_s),
                       .expected = "all ranks' GPUs reaching each other",
                       .remedy = "NCCL_DEBUG=INFO tells what it tries; NCCL_SOCKET_IFNAME names the network to use"});
    });
  });
  host = std::make_unique<DeviceCommunicator>(std::move(host), std::move(link), "nccl");
}

std::unique_ptr<Communicator> make_nccl_communicator(CommOptions options) {
  auto communicator = launcher().connects_ranks ? make_mpi_communicator(options) : make_self_communicator(options);
  use_gpus(communicator);
  return communicator;
}

}  // namespace herd
