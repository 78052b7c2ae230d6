#include "launch/launcher/doctor_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

namespace herd {

std::vector<std::string> DoctorOptions::rank_command() const {
  const auto whole = [](const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); };
  std::vector<std::string> words{"doctor", "--folder", whole(folder), "--baseline", whole(baseline_file())};
  const auto add = [&](const char* name, double value) { words.insert(words.end(), {name, fmt::format("{}", value)}); };
  add("--max-skew", bounds.skew_s);
  add("--min-disk", bounds.min_disk_gib);
  add("--min-memory", bounds.min_memory_gib);
  add("--slow-ratio", bounds.slow_ratio);
  if (new_baseline) words.push_back("--new-baseline");
  if (quick) words.push_back("--quick");
  if (!report.empty()) words.insert(words.end(), {"--report", whole(report)});
  return words;
}

void declare(CLI::App& app, DoctorOptions& o) {
  declare(app, o.start);
  app.add_option("--folder", o.folder, "where runs are kept: to be seen by every host")->capture_default_str();
  app.add_option("--baseline", o.baseline, "times of all-reduces that are held against; the first check stores them; default: FOLDER/doctor-baseline.json");
  app.add_flag("--new-baseline", o.new_baseline, "store this check's times in place of the former");
  app.add_flag("--quick", o.quick, "all-reduces of 1 MiB in place of 16, fewer of them");
  app.add_option("--report", o.report, "write what was found to this file as JSON");
  app.add_option("--max-skew", o.bounds.skew_s, "seconds that a clock may differ from rank 0's")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--min-disk", o.bounds.min_disk_gib, "GiB to be free where runs are kept")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--min-memory", o.bounds.min_memory_gib, "GiB of memory to be free on a host")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--slow-ratio", o.bounds.slow_ratio, "a link is slow at so many times its baseline, or of what the others take")->check(CLI::Range(1.1, 1e6))->capture_default_str();
}

}  // namespace herd
