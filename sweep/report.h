#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "sweep/pictures.h"
#include "sweep/results.h"

namespace herd::sweep {

/// Writes what came out of a sweep so far into its folder: results.csv, results.md, report.html (one file, for a browser without a network), pictures/ (PNG) and
/// best/config.yaml (the resolved recipe of the best setting's first run, into a run folder of its own: best/run).
class Reporter {
 public:
  Reporter(const SweepFile& sweep, const Plan& plan, const Ledger& ledger) : sweep_(sweep), plan_(plan), ledger_(ledger) {}

  /// @throws IoError
  void write(const std::vector<Standing>& standings);
  /// The same after a point, unless so little time has passed since the last that reports would take more than a tenth of it.
  void write_now_and_then(const std::vector<Standing>& standings);

 private:
  using Clock = std::chrono::steady_clock;

  const SweepFile& sweep_;
  const Plan& plan_;
  const Ledger& ledger_;
  Clock::time_point written_{};
  Clock::duration took_{};
};

/// The page. @param pictures each with a name for its place.
std::string report_page(const SweepFile& sweep, const Plan& plan, const std::vector<Row>& rows, const std::vector<Standing>& standings,
                        const std::vector<std::pair<std::string, Picture>>& pictures);

}  // namespace herd::sweep
