#include "launch/evaluate_compare.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "infer/evaluate/compare.h"
#include "launch/command_line.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

/// The folders' names, with as much of what is above them as tells them apart.
std::vector<std::string> names_of(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const auto& folder : folders) names.push_back((fs::path(folder) / "").parent_path().filename().string());
  for (std::size_t i = 0; i < names.size(); ++i)
    if (std::count(names.begin(), names.end(), names[i]) > 1) return folders;
  return names;
}

void write_picture(const std::string& file, const Picture& picture) {
  write_file_atomically(file, fs::path(file).extension() == ".svg" ? picture.svg() : picture.png());
}

}  // namespace

int evaluate_compare(int argc, char** argv) {
  CLI::App app("Sets the results of evaluations side by side; differences from the first are paired by record.", "herd evaluate compare");
  std::vector<std::string> folders;
  std::string csv, bars, radar, metric;
  app.add_option("folders", folders, "what herd evaluate --output wrote")->required();
  app.add_option("--csv", csv, "write the table there");
  app.add_option("--picture", bars, "draw bars of --metric there, as .png or .svg");
  app.add_option("--radar", radar, "draw it as a web by category");
  app.add_option("--metric", metric, "which one is drawn; default: the first");
  if (!parse_arguments(app, argc, argv)) return kExitSuccess;
  std::vector<ComparedRun> runs;
  const auto names = names_of(folders);
  for (std::size_t i = 0; i < folders.size(); ++i) runs.push_back({.name = names[i], .results = read_results(folders[i]), .outcomes = read_outcomes(folders[i])});
  const auto [rows, unpaired] = compare(runs);
  std::fputs(comparison_table(runs, rows).c_str(), stdout);
  for (const auto& why : unpaired) log_warning("{}", why);
  if (metric.empty() && !rows.empty()) metric = rows.front().metric;
  if (!csv.empty()) write_file_atomically(csv, comparison_csv(runs, rows));
  if (!bars.empty()) write_picture(bars, comparison_bars(metric, runs, rows));
  if (!radar.empty()) write_picture(radar, comparison_radar(metric, runs, rows));
  return kExitSuccess;
}

}  // namespace herd
