#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/report/metrics.h"

namespace herd {

/// A number of a step.
struct CurvePoint {
  double step = 0;
  double value = 0;
};

/// What a loss picture shows. Points that are not finite are left out; an empty curve is left out of the legend.
struct LossCurves {
  std::string title;
  std::vector<CurvePoint> train;     ///< by step; drawn thin, with an average drawn bold over it
  std::vector<CurvePoint> held_out;  ///< drawn as dots, joined
};

/// The curves of a run's metrics: "loss" and "held_out_loss".
LossCurves loss_curves(const std::vector<MetricsLine>& metrics, std::string title);

/// Exponential moving average without the bias of its start (Kingma & Ba 2015, section 3), over some 1/20 of the points.
std::vector<CurvePoint> smoothed(const std::vector<CurvePoint>& points);

/// Where the ticks of an axis from `low` to `high` stand: some `count` of them, at multiples of 1, 2 or 5 times a power of ten.
std::vector<double> nice_ticks(double low, double high, int count);

/// Draws the curves into a PNG of 1200 x 720 pixels, put in place atomically. A title in any script, of any length and of any bytes is
/// drawn as far as the machine has fonts (see Canvas). @throws IoError
void plot_losses(const std::filesystem::path& path, const LossCurves& curves);

}  // namespace herd
