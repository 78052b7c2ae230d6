#pragma once
#include <optional>
#include <string>
#include <vector>

#include "sweep/ledger.h"
#include "sweep/plan.h"

namespace herd::sweep {

/// A setting with its repeats: a row of the table.
struct Row {
  std::size_t setting = 0;
  std::vector<std::size_t> points;  ///< of Plan::points
  int rank = 0;                     ///< from 1; 0: nothing to rank it by
  std::optional<double> mean;       ///< of the metric, over the repeats that have it
  std::optional<double> sd;         ///< of the sample (n − 1); from two on
  std::string state;                ///< `finished`, `2 finished, 1 failed`
  std::size_t rungs = 0;            ///< behind it (asha)
  std::int64_t step = 0;            ///< of the metric: the least of its repeats
  double seconds = 0;               ///< of all its runs
};

/// The best first: asha's by the rung that they reached, then those without a diverged repeat, then by the mean; what has no value comes last, in the plan's order.
std::vector<Row> rows_of(const Plan& plan, const std::vector<Standing>& standings, const SweepOptions& options);

/// What a cell says of a setting's key; empty where the setting does not have it.
std::string cell_of(const Setting& setting, const std::string& key);

/// The table for programs (RFC 4180), numbers in full; and for people.
std::string to_csv(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options);
std::string to_markdown(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options);

}  // namespace herd::sweep
