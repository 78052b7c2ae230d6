#include "launch/launcher/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/base/file.h"
#include "runtime/base/text.h"

namespace herd {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GpuHealth, name, celsius, uncorrected)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HostCard, host, first_rank, ranks, build, libraries, folder_trouble, clock_ahead_s, disk_bytes, memory_bytes, gpus, gpu_trouble)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DoctorReport, slow_hosts, slow_first_ranks, findings)

namespace {

constexpr double kGib = 1 << 30;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::int64_t number_or_none(std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

std::string size(double bytes) { return fmt::format("{:.1f} GiB", bytes / kGib); }

void examine_software(const HostCard& card, const HostCard& first, std::vector<Finding>& findings) {
  if (card.build != first.build)
    findings.push_back({card.host, "herd's build " + card.build, first.build + ", as " + first.host + " has it", "put one build on every host"});
  for (const auto& [name, version] : first.libraries) {
    const auto own = card.libraries.find(name);
    const auto found = own == card.libraries.end() ? "no " + name : own->second;
    if (found != version) findings.push_back({card.host, found, version + ", as " + first.host + " loads it", "the same LD_LIBRARY_PATH and modules on every host"});
  }
}

void examine_room(const HostCard& card, const HostCard& first, const DoctorBounds& bounds, std::vector<Finding>& findings) {
  if (!card.folder_trouble.empty())
    findings.push_back({card.host, card.folder_trouble, "the folder that rank 0 on " + first.host + " writes to", "put run.folder on a file system that all hosts share"});
  if (std::abs(card.clock_ahead_s) > bounds.skew_s)
    findings.push_back({card.host, fmt::format("a clock {:.1f} s {} that of {}", std::abs(card.clock_ahead_s), card.clock_ahead_s > 0 ? "ahead of" : "behind", first.host),
                        fmt::format("at most {:g} s", bounds.skew_s), "chrony or ntpd: times in errors/ and flight/ tell what came first"});
  if (static_cast<double>(card.disk_bytes) < bounds.min_disk_gib * kGib)
    findings.push_back({card.host, size(static_cast<double>(card.disk_bytes)) + " free where runs are kept", fmt::format("at least {:g} GiB", bounds.min_disk_gib), "make room, or --min-disk"});
  if (static_cast<double>(card.memory_bytes) < bounds.min_memory_gib * kGib)
    findings.push_back({card.host, size(static_cast<double>(card.memory_bytes)) + " of memory free", fmt::format("at least {:g} GiB", bounds.min_memory_gib), "see what else runs there, or --min-memory"});
}

void examine_gpus(const HostCard& card, std::size_t most, const DoctorBounds& bounds, std::vector<Finding>& findings) {
  if (!card.gpu_trouble.empty()) findings.push_back({card.host, "nvidia-smi: " + card.gpu_trouble, "a list of GPUs", "look at the driver there (dmesg)"});
  else if (card.gpus.size() != most) findings.push_back({card.host, plural(static_cast<std::int64_t>(card.gpus.size()), "GPU"), fmt::format("{}, as other hosts have", most), "look at the driver there (dmesg)"});
  for (std::size_t i = 0; i < card.gpus.size(); ++i) {
    const auto& gpu = card.gpus[i];
    if (gpu.uncorrected > 0)
      findings.push_back({card.host, fmt::format("GPU {} ({}): {} ECC errors that were not corrected", i, gpu.name, gpu.uncorrected), "none", "take the host out and reset the GPU"});
    if (gpu.celsius >= bounds.hot_celsius)
      findings.push_back({card.host, fmt::format("GPU {} ({}): {} degrees Celsius", i, gpu.name, gpu.celsius), fmt::format("below {}", bounds.hot_celsius), "look at its cooling, and at what runs there"});
  }
}

}  // namespace

std::string to_json(const HostCard& card) { return nlohmann::json(card).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }
HostCard host_card_from(const std::string& json) { return nlohmann::json::parse(json).get<HostCard>(); }

std::vector<GpuHealth> parse_gpus(std::string_view said) {
  std::vector<GpuHealth> gpus;
  while (!said.empty()) {
    const auto end = said.find('\n');
    const auto line = said.substr(0, end);
    said = end == std::string_view::npos ? "" : said.substr(end + 1);
    const auto last = line.rfind(','), middle = last == std::string_view::npos ? last : line.rfind(',', last - 1);
    if (middle == std::string_view::npos) continue;
    gpus.push_back({.name = std::string(trimmed(line.substr(0, middle))),
                    .celsius = static_cast<int>(number_or_none(trimmed(line.substr(middle + 1, last - middle - 1)))),
                    .uncorrected = number_or_none(trimmed(line.substr(last + 1)))});
  }
  return gpus;
}

std::string Finding::text() const { return fmt::format("{}: {}; expected {}\n       {}", host, found, expected, remedy); }

std::vector<Finding> examine(const std::vector<HostCard>& cards, const DoctorBounds& bounds) {
  std::vector<Finding> findings;
  std::size_t most = 0;
  for (const auto& card : cards) most = std::max(most, card.gpus.size());
  for (const auto& card : cards) {
    examine_software(card, cards.front(), findings);
    examine_room(card, cards.front(), bounds, findings);
    examine_gpus(card, most, bounds, findings);
  }
  return findings;
}

void write_report(const std::filesystem::path& file, const DoctorReport& report) { write_file_atomically(file, nlohmann::json(report).dump() + "\n"); }
DoctorReport read_report(const std::filesystem::path& file) { return nlohmann::json::parse(read_file(file)).get<DoctorReport>(); }

}  // namespace herd
