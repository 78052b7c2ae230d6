#include "runtime/base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace herd {
namespace {

constexpr int kUsualColumns = 80;

std::optional<int> columns_of(int descriptor) {
  if (!isatty(descriptor)) return std::nullopt;
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

bool is_launcher(std::string_view name) {
  static constexpr std::array<std::string_view, 4> kLaunchers{"mpirun", "orterun", "mpiexec", "prterun"};
  return std::find(kLaunchers.begin(), kLaunchers.end(), name) != kLaunchers.end();
}

timespec wall_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    const bool resident = line.starts_with("VmRSS:"), peak = line.starts_with("VmHWM:");
    if (!resident && !peak) continue;
    (resident ? memory.resident : memory.peak) = std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return memory;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 && name[0] != 0 ? name.data() : "localhost";
}

std::string job_id() {
  // An element of an array by the array's number: its own may be that of the whole array.
  if (const char *array = std::getenv("SLURM_ARRAY_JOB_ID"), *element = std::getenv("SLURM_ARRAY_TASK_ID"); array && element && *array && *element)
    return fmt::format("{}_{}", array, element);
  for (const char* variable : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"})
    if (const char* value = std::getenv(variable); value && *value) return value;
  return "";
}

double unix_time_s() {
  const auto now = wall_clock();
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string utc_now() {
  const auto now = wall_clock();
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  std::array<char, 32> text{};
  strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:09}Z", text.data(), now.tv_nsec);
}

std::optional<int> terminal_columns() {
  if (const char* kind = std::getenv("TERM"); kind && std::string_view(kind) == "dumb") return std::nullopt;
  if (const auto columns = columns_of(STDERR_FILENO)) return columns;
  const auto parent = fmt::format("/proc/{}", getppid());
  std::string name;
  std::getline(std::ifstream(parent + "/comm") >> std::ws, name);
  if (!is_launcher(name)) return std::nullopt;
  const int descriptor = open((parent + "/fd/2").c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return std::nullopt;
  const auto columns = columns_of(descriptor);
  close(descriptor);
  return columns;
}

}  // namespace herd
