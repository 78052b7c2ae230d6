#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// A GPU as nvidia-smi has it.
struct GpuHealth {
  std::string name;
  int celsius = -1;               ///< -1: not told
  std::int64_t uncorrected = -1;  ///< ECC errors since it was last reset; -1: not told
};

/// What one host tells of itself.
struct HostCard {
  std::string host;
  int first_rank = 0, ranks = 1;
  std::string build;                             ///< fingerprint of herd
  std::map<std::string, std::string> libraries;  ///< file name without version: file name and size of what is loaded
  std::string folder_trouble;                    ///< empty: it sees what rank 0 writes
  double clock_ahead_s = 0;                      ///< of rank 0's clock
  std::uint64_t disk_bytes = 0, memory_bytes = 0;  ///< free
  std::vector<GpuHealth> gpus;
  std::string gpu_trouble;
};
std::string to_json(const HostCard& card);
HostCard host_card_from(const std::string& json);

/// The lines of `nvidia-smi --query-gpu=name,temperature.gpu,ecc.errors.uncorrected.volatile.total --format=csv,noheader,nounits`.
std::vector<GpuHealth> parse_gpus(std::string_view said);

/// From where on a host is not well.
struct DoctorBounds {
  double skew_s = 1, min_disk_gib = 1, min_memory_gib = 1, slow_ratio = 2;
  int hot_celsius = 90;
};

struct Finding {
  std::string host, found, expected, remedy;
  /// `node3: …; expected …`, the remedy on a line of its own.
  std::string text() const;
};
/// @param cards of every host, rank 0's first.
std::vector<Finding> examine(const std::vector<HostCard>& cards, const DoctorBounds& bounds);

/// What the doctor's ranks leave for the launcher that started them.
struct DoctorReport {
  std::vector<std::string> slow_hosts;
  std::vector<int> slow_first_ranks;  ///< the first rank of each of those
  int findings = 0;                   ///< besides slowness
};
void write_report(const std::filesystem::path& file, const DoctorReport& report);
DoctorReport read_report(const std::filesystem::path& file);

}  // namespace herd
