#include "runtime/base/affinity.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "runtime/base/error.h"
#include "runtime/base/launcher.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

// Larger than any machine's: the kernel keeps those that exist and that the process's cpuset allows.
constexpr int kMostCpus = 1 << 14;
struct Free {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, Free>;
const std::size_t kSetBytes = CPU_ALLOC_SIZE(kMostCpus);

CpuSet all_cpus() {
  CpuSet set(CPU_ALLOC(kMostCpus));
  std::memset(set.get(), 0xff, kSetBytes);
  return set;
}

// Every thread there is, not only this one: libraries may have started some. "" or what went wrong.
std::string widen() {
  const auto all = all_cpus();
  if (sched_setaffinity(0, kSetBytes, all.get())) return std::strerror(errno);
  std::error_code no_proc;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", no_proc))
    sched_setaffinity(std::atoi(thread.path().filename().c_str()), kSetBytes, all.get());  // one may have ended meanwhile
  return "";
}

}  // namespace

int usable_cpus() {
  CpuSet set(CPU_ALLOC(kMostCpus));
  CPU_ZERO_S(kSetBytes, set.get());
  if (sched_getaffinity(0, kSetBytes, set.get())) return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return CPU_COUNT_S(kSetBytes, set.get());
}

void ensure_cpus(int threads) {
  const int before = usable_cpus();
  if (before >= threads || before >= sysconf(_SC_NPROCESSORS_ONLN)) return;
  const auto started_by = launcher().name;
  std::string trouble;
  // A binding that somebody chose for this process, or that keeps the jobs of a node apart, is not ours to lift.
  if (started_by == "mpirun" || started_by == "PMI") trouble = widen();
  const int after = usable_cpus();
  if (after > before) log_info("this process was bound to {} of the machine's CPUs; it has {} threads and may use {} now", before, threads, after);
  if (after >= threads || after >= sysconf(_SC_NPROCESSORS_ONLN)) return;
  const std::string remedy = started_by == "srun" ? fmt::format("start with srun --cpus-per-task={}", threads)
                             : started_by.empty() ? "lift the binding (taskset, cpuset)"
                                                  : "start with mpirun --bind-to none";
  throw ConfigError({.who = "CPU affinity",
                     .found = fmt::format("a binding to {} CPU{}{}", after, after == 1 ? "" : "s", trouble.empty() ? "" : ", not to be widened: " + trouble),
                     .expected = fmt::format("{} CPUs for {} threads", threads, threads),
                     .remedy = remedy + ", or give this process fewer threads"});
}

}  // namespace herd
