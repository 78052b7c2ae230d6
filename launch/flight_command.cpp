#include "launch/flight_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "launch/command_line.h"
#include "parallel/comm/flight_compare.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/text.h"
#include "runtime/report/run_folder.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

const char* name(FlightRecord::State state) {
  switch (state) {
    case FlightRecord::kUnderWay: return "under way";
    case FlightRecord::kDone: return "done";
    case FlightRecord::kFailed: return "failed";
    case FlightRecord::kEmpty: break;
  }
  return "-";
}

void print_records(const Flight& flight, std::size_t count) {
  fmt::print("\nrank {} on {}, process {}\n", flight.rank, flight.host, flight.process);
  const auto first = flight.records.size() - std::min(count, flight.records.size());
  for (std::size_t i = first; i < flight.records.size(); ++i) {
    const auto& r = flight.records[i];
    fmt::print("  {} to {:<12} {:<9} {:>10}  #{} of {}: {}\n", clock_text(r.entered_us), clock_text(r.left_us), name(r.state),
               human_bytes(r.bytes), r.sequence, r.group, r.text);
  }
}

int show(const fs::path& path, std::size_t records) {
  const auto folder = fs::exists(RunFolder(path).flight()) ? RunFolder(path).flight() : path;
  const auto flights = read_flights(folder);
  fmt::print("{:<5} {:<16} {:<13} {:<13} {}\n", "rank", "host", "alive (UTC)", "in since", "what");
  for (const auto& f : flights)
    fmt::print("{:<5} {:<16} {:<13} {:<13} {}\n", f.rank, f.host, clock_text(f.alive_us), clock_text(f.activity_us),
               f.activity.empty() ? "-" : f.activity);
  for (const auto& f : flights) print_records(f, records);
  fmt::print("\n");
  const auto findings = compare_flights(flights);
  for (const auto& finding : findings) fmt::print("{}\n", finding);
  if (findings.empty()) fmt::print("every rank has come as far as the others\n");
  return kExitSuccess;
}

}  // namespace

int flight_command(int argc, char** argv) {
  CLI::App app("What each rank of a run did last, and where the ranks differ: of a run that lives, hangs or is dead.", "herd flight");
  std::string path;
  std::size_t records = 3;
  app.add_option("run", path, "a run's folder, or its flight folder")->required();
  app.add_option("--records", records, "operations shown of each rank, the last ones; at most 256 are kept")->capture_default_str();
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  return show(path, records);
}

}  // namespace herd
