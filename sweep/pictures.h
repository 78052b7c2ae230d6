#pragma once
#include <string>
#include <utility>
#include <vector>

#include "runtime/report/picture.h"
#include "runtime/report/plot.h"
#include "sweep/results.h"

namespace herd::sweep {

/// A direction of a picture: where the values of a parameter, or of the metric, stand on it.
class Scale {
 public:
  /// @param values one a row of the table, empty texts for rows without one. Numbers (all of them, three kinds or more) stand by their size, or by its logarithm where the
  ///        greatest is 20 times the least or more; all else stands in its order, at equal distances.
  /// @param may_be_log false: by their size in any case.
  explicit Scale(const std::vector<std::string>& values, bool may_be_log = true);

  /// From 0 to 1; nothing for an empty text.
  std::optional<double> at(const std::string& value) const;
  struct Tick {
    double at = 0;
    std::string text;
  };
  const std::vector<Tick>& ticks() const { return ticks_; }
  bool logarithmic() const { return log_; }

 private:
  bool numbers_ = false, log_ = false;
  double low_ = 0, high_ = 1;
  std::vector<std::string> names_;
  std::vector<Tick> ticks_;
};

/// A line a setting through its values and its metric, the best one marked, the best quarter in colour.
Picture parallel_coordinates(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options);

/// The metric of each setting against one parameter.
Picture metric_against(const std::string& key, const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options);

/// A run's metric by step.
struct LearningCurve {
  std::vector<CurvePoint> points;
  int rank = 0;  ///< of its setting
};
/// The best one is marked.
Picture learning_curves(const std::vector<LearningCurve>& curves, const SweepOptions& options);

}  // namespace herd::sweep
