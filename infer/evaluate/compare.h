#pragma once
#include <optional>
#include <string>
#include <vector>

#include "infer/evaluate/results.h"
#include "runtime/report/picture.h"

namespace herd {

/// An evaluation that is compared with others.
struct ComparedRun {
  std::string name;  ///< its folder's
  EvaluationResults results;
  std::vector<Outcome> outcomes;
};

/// One metric of one task and category, of each run that has it.
struct ComparedRow {
  std::string task, metric, category;
  std::vector<std::optional<MetricValue>> values;          ///< in the order of the runs
  std::vector<std::optional<Interval>> differences;        ///< from the first run that has it, where the two are alike and it is a mean over records
  std::size_t best() const;                                ///< which run
};

struct Comparison {
  std::vector<ComparedRow> rows;      ///< in the order in which the runs have them
  std::vector<std::string> unpaired;  ///< runs of a task that are not alike, and in what, for people
};

/// Runs are alike where task, questions, options and references are equal, record by record: differences are then paired (bootstrap_difference).
Comparison compare(const std::vector<ComparedRun>& runs);

std::string comparison_table(const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows);
/// task, metric, category, then of each run value, low, high, and of each but the first difference, low, high.
std::string comparison_csv(const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows);
/// Bars of one metric, a group a task and category, with their intervals.
Picture comparison_bars(const std::string& metric, const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows);
/// The same as a web around a centre, from 0 to the greatest value. @throws DataError for fewer than three rows: they make no web.
Picture comparison_radar(const std::string& metric, const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows);

}  // namespace herd
