#include "parallel/comm/cuda_module.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "parallel/comm/nccl_versions.h"
#include "runtime/base/process.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr char kWho[] = "device cuda";

fs::path module_file() { return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "lib" / "libherd_cuda.so"; }

// Libraries stay loaded for the process's life: others have pointers into them.
void* open(const std::string& name, int flags, const std::string& what, const std::string& expected, const std::string& remedy) {
  if (void* library = dlopen(name.c_str(), flags)) return library;
  throw ConfigError({.who = kWho, .found = fmt::format("{} on {} ({})", what, host_name(), dlerror()), .expected = expected, .remedy = remedy});
}

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

// What is used of the driver's interface (cuda.h); 0 is success.
struct Driver {
  int (*init)(unsigned) = nullptr;
  int (*count)(int*) = nullptr;
  int (*get)(int*, int) = nullptr;
  int (*uuid)(char*, int) = nullptr;
};

Driver open_driver() {
  void* library = open("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL, "no NVIDIA driver", "an NVIDIA GPU and its driver", "device cpu does without");
  Driver driver;
  driver.init = symbol<int (*)(unsigned)>(library, "cuInit");
  driver.count = symbol<int (*)(int*)>(library, "cuDeviceGetCount");
  driver.get = symbol<int (*)(int*, int)>(library, "cuDeviceGet");
  driver.uuid = symbol<int (*)(char*, int)>(library, "cuDeviceGetUuid_v2");
  if (!driver.uuid) driver.uuid = symbol<int (*)(char*, int)>(library, "cuDeviceGetUuid");
  if (driver.init && driver.count && driver.get && driver.uuid) return driver;
  throw ConfigError({.who = kWho, .found = "a libcuda.so.1 on " + host_name() + " that is no NVIDIA driver", .expected = "the driver's own",
                     .remedy = "look which one the loader finds first: LD_LIBRARY_PATH, ldconfig -p"});
}

void need_driver(int code, const char* call) {
  constexpr int kNoDevice = 100;
  if (code == 0) return;
  throw ConfigError({.who = kWho,
                     .found = code == kNoDevice ? "no GPU on " + host_name()
                                                : fmt::format("a driver on {} that does not start ({} returned {})", host_name(), call, code),
                     .expected = "an NVIDIA GPU and its driver",
                     .remedy = "nvidia-smi shows what the driver sees, CUDA_VISIBLE_DEVICES may hide it; device cpu does without"});
}

void check_nccl() {
  void* library = open("libnccl.so.2", RTLD_NOW | RTLD_GLOBAL, "no NCCL", "libnccl.so.2, which the ranks' GPUs talk through",
                       "scripts/setup --cuda installs it beside libtorch; build against that folder");
  const auto version = symbol<int (*)(int*)>(library, "ncclGetVersion");
  int found = 0;
  if (!version || version(&found) != 0)
    throw ConfigError({.who = kWho, .found = "a libnccl.so.2 that does not tell its version", .expected = "NCCL"});
  utsname machine{};
  uname(&machine);
  check_nccl_version(found, machine.machine, ranks_share_gpus());
}

const CudaModule& open_module() {
  need_cuda_module();
  visible_gpus();
  check_nccl();
  open("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL, "no CUDA part of libtorch", "libtorch_cuda.so, with the libraries of its wheel",
       "scripts/setup --cuda installs it; build against that folder (HERD_LIBTORCH)");
  const auto file = module_file();
  void* library = open(file.string(), RTLD_NOW | RTLD_LOCAL, "a CUDA module that does not load", "that of this build", "build herd again");
  const auto entry = symbol<CudaModuleEntry>(library, "herd_cuda_module");
  const auto* module = entry ? entry() : nullptr;
  if (!module || module->version != kCudaModuleVersion) {
    throw ConfigError({.who = file.string(), .found = module ? fmt::format("version {}", module->version) : "no CUDA module of herd",
                       .expected = fmt::format("version {}", kCudaModuleVersion),
                       .remedy = "build herd again: program and module belong to one build"});
  }
  use_device_kernels(module->kernels);
  // What would go there is one LSTM (p_tuning): it would ask for its weights in one piece, and sum gradients in no fixed order.
  at::globalContext().setUserEnabledCuDNN(false);
  return *module;
}

}  // namespace

std::vector<std::string> visible_gpus() {
  const auto driver = open_driver();
  need_driver(driver.init(0), "cuInit");
  int count = 0;
  need_driver(driver.count(&count), "cuDeviceGetCount");
  if (count == 0) need_driver(100, "cuDeviceGetCount");
  std::vector<std::string> gpus;
  for (int i = 0; i < count; ++i) {
    int device = 0;
    std::array<char, 16> uuid{};
    need_driver(driver.get(&device, i), "cuDeviceGet");
    need_driver(driver.uuid(uuid.data(), device), "cuDeviceGetUuid");
    std::string text = "GPU-";
    for (char byte : uuid) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    gpus.push_back(std::move(text));
  }
  return gpus;
}

bool ranks_share_gpus() {
  const char* word = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return word && std::string_view(word) == "1";
}

int device_of_rank(int local_rank, int local_size, int visible, bool shared) {
  if (shared) return local_rank % visible;
  if (local_rank < visible) return local_rank;
  if (visible == 1) return 0;  // a launcher's way of sharing out GPUs, or a mistake: who shares one is found when all have told theirs
  throw ConfigError({.who = kWho, .found = fmt::format("{} and {} on {}", plural(local_size, "rank"), plural(visible, "GPU"), host_name()),
                     .expected = "a GPU for each rank", .remedy = fmt::format("start {} ranks a host: mpirun --map-by ppr:{}:node", visible, visible)});
}

void need_cuda_module() {
  if (fs::exists(module_file())) return;
  throw ConfigError({.who = kWho, .found = "a herd built without its CUDA module (no " + module_file().string() + ")",
                     .expected = "libherd_cuda.so",
                     .remedy = "build it where nvcc and NCCL are found: scripts/setup --cuda, then docs/cuda.md; or take device cpu"});
}

const CudaModule& cuda_module() {
  static const CudaModule& module = open_module();
  return module;
}

}  // namespace herd
