#pragma once
#include <string>
#include <vector>

#include "runtime/report/picture.h"
#include "runtime/report/run_folder.h"

namespace herd {

/// Runs side by side.
struct RunComparison {
  struct Row {
    std::string key;
    std::vector<std::string> values;  ///< one a run, "-" where it has none
  };
  std::vector<std::string> names;  ///< the folders' names, whole paths where two are the same
  std::vector<Row> settings;       ///< what their recipes say differently, apart from run.name and run.folder
  std::vector<Row> numbers;        ///< steps, the last losses, the lowest held-out one and its step, tokens, the median of tokens_per_s
};

/// @throws ConfigError for fewer than two, IoError or DataError for what cannot be read.
RunComparison compare_runs(const std::vector<RunFolder>& runs);

std::string comparison_text(const RunComparison& comparison);
std::string comparison_json(const RunComparison& comparison);
/// Their loss curves.
Picture comparison_curves(const RunComparison& comparison, const std::vector<RunFolder>& runs);

}  // namespace herd
