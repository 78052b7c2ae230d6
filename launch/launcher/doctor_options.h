#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "launch/launcher/doctor_report.h"
#include "launch/launcher/launch_options.h"

namespace herd {

/// The options of `herd doctor`.
struct DoctorOptions {
  StartOptions start;
  std::string folder = "runs";  ///< to be shared, and have room
  std::string baseline;         ///< empty: folder/doctor-baseline.json
  bool new_baseline = false, quick = false;
  std::string report;           ///< where a launcher reads what was found; empty: nowhere
  DoctorBounds bounds;

  std::int64_t bytes() const { return quick ? 1 << 20 : 16 << 20; }  ///< of an all-reduce
  int repeats() const { return quick ? 5 : 11; }
  std::string baseline_file() const { return baseline.empty() ? folder + "/doctor-baseline.json" : baseline; }
  /// The subcommand and arguments by which a rank gets the same.
  std::vector<std::string> rank_command() const;
};
void declare(CLI::App& app, DoctorOptions& o);

}  // namespace herd
