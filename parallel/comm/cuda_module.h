#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/device_link.h"
#include "runtime/nn/device_kernels.h"

namespace herd {

/// What libherd_cuda offers, by its one exported function `herd_cuda_module`. The module knows `runtime` and the headers of this folder;
/// nothing else of herd is linked into it.
struct CudaModule {
  int version;  ///< kCudaModuleVersion of its build
  /// What the ranks of a job need to find each other: made by one of them, given to all.
  std::string (*unique_id)();
  /// Makes the communicator of all ranks, on device `device` of this process. Blocks; `patience` as in DeviceLink::begin.
  std::unique_ptr<DeviceLink> (*connect)(const std::string& id, int rank, int size, int device, std::function<void()> patience);
  const DeviceKernels* kernels;
};
using CudaModuleEntry = const CudaModule* (*)();

/// Changes with the layout or meaning of what this header, device_link.h and device_kernels.h declare: a module of another version is refused.
inline constexpr int kCudaModuleVersion = 2;

/// The GPUs that this process may use, as its driver tells (CUDA_VISIBLE_DEVICES heeded), by UUID. Loads the driver's library alone.
/// @throws ConfigError where there is no driver, or no GPU.
std::vector<std::string> visible_gpus();

/// Whether several ranks may have one GPU: NCCL_MULTI_RANK_GPU_ENABLE=1, as NCCL itself reads it. For trying things out, not for speed.
bool ranks_share_gpus();

/// The device of rank `local_rank` of the `local_size` on its host: the one at its place; where a launcher shows each rank one GPU alone,
/// that one. @param shared ranks beyond the devices begin again at the first. @throws ConfigError for more ranks than devices.
int device_of_rank(int local_rank, int local_size, int visible, bool shared = false);

/// Opens libherd_cuda, which lies in ../lib beside the program's folder, with the libraries that it needs, and puts its loops in use; once a process.
/// @throws ConfigError for each thing that is missing, or of a version that herd refuses.
const CudaModule& cuda_module();

/// Whether herd was built with the module, before anything is loaded. @throws ConfigError.
void need_cuda_module();

}  // namespace herd
