#include "runtime/report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/text.h"
#include "runtime/report/canvas.h"

namespace herd {
namespace {

constexpr int kWidth = 1200, kHeight = 720;
constexpr double kLeft = 92, kRight = kWidth - 28, kTop = 92, kBottom = kHeight - 74;  // edges of the plotted area
constexpr double kTitleY = 38, kLegendY = 68;

constexpr Colour kInk{0.16, 0.18, 0.22}, kFaintInk{0.42, 0.45, 0.50}, kGrid{0.90, 0.91, 0.93};
// Blue and orange of a palette that colour-blind readers tell apart (Okabe & Ito 2008).
constexpr Colour kTrainRaw{0.00, 0.45, 0.70, 0.30}, kTrain{0.00, 0.45, 0.70}, kHeldOut{0.84, 0.37, 0.00};

struct Range {
  double low = 0, high = 1;
  double part(double value) const { return (value - low) / (high - low); }
};

std::vector<CurvePoint> finite(std::vector<CurvePoint> points) {
  std::erase_if(points, [](const CurvePoint& p) { return !std::isfinite(p.step) || !std::isfinite(p.value); });
  return points;
}

Range range_of_steps(const LossCurves& curves) {
  Range range{0, 1};
  for (const auto* curve : {&curves.train, &curves.held_out})
    for (const auto& point : *curve) range.high = std::max(range.high, point.step);
  return range;
}

// Holds every smoothed and held-out point, and all raw ones but the top hundredth: one spike must not flatten the picture.
Range range_of_values(const LossCurves& curves, const std::vector<CurvePoint>& average) {
  std::vector<double> raw, values;
  for (const auto& point : curves.train) raw.push_back(point.value);
  std::sort(raw.begin(), raw.end());
  if (!raw.empty()) values = {raw.front(), raw[(raw.size() - 1) * 99 / 100]};
  for (const auto* curve : {&average, &curves.held_out})
    for (const auto& point : *curve) values.push_back(point.value);
  if (values.empty()) return {0, 1};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double spread = std::max(*high - *low, 1e-3 * std::max(std::abs(*high), 1e-3));
  Range range{*low - 0.05 * spread, *high + 0.05 * spread};
  if (*low >= 0 && *low < 0.35 * *high) range.low = 0;  // near enough to show the zero that losses have
  return range;
}

struct Axes {
  Range steps, values;
  double x(double step) const { return kLeft + steps.part(step) * (kRight - kLeft); }
  double y(double value) const { return kBottom - values.part(value) * (kBottom - kTop); }
  std::vector<Dot> dots(const std::vector<CurvePoint>& points) const {
    std::vector<Dot> out;
    for (const auto& point : points) out.push_back({x(point.step), y(point.value)});
    return out;
  }
};

void draw_axes(Canvas& canvas, const Axes& axes) {
  for (const double value : nice_ticks(axes.values.low, axes.values.high, 7)) {
    const double y = std::round(axes.y(value)) + 0.5;  // on the middle of a pixel, or a line of 1 blurs over 2
    canvas.line({kLeft, y}, {kRight, y}, 1, kGrid);
    canvas.text({.text = fmt::format("{:.5g}", value), .anchor = 1}, {kLeft - 10, y + 5}, kFaintInk);
  }
  for (const double step : nice_ticks(axes.steps.low, axes.steps.high, 8)) {
    if (step != std::floor(step)) continue;  // there are no half steps
    const double x = std::round(axes.x(step)) + 0.5;
    canvas.line({x, kBottom}, {x, kBottom + 6}, 1, kFaintInk);
    canvas.text({.text = with_thousands(std::llround(step)), .anchor = 0.5}, {x, kBottom + 24}, kFaintInk);
  }
  canvas.line({kLeft, kBottom + 0.5}, {kRight, kBottom + 0.5}, 1, kFaintInk);
  canvas.text({.text = "step", .size = 16, .anchor = 0.5}, {(kLeft + kRight) / 2, kHeight - 22}, kInk);
  canvas.text({.text = "loss (nats per token)", .size = 16, .anchor = 0.5, .upwards = true}, {28, (kTop + kBottom) / 2}, kInk);
}

void draw_curves(Canvas& canvas, const Axes& axes, const LossCurves& curves, const std::vector<CurvePoint>& average) {
  canvas.clip({kLeft, kTop - 6}, {kRight + 6, kBottom});
  canvas.polyline(axes.dots(curves.train), 1.2, kTrainRaw);
  canvas.polyline(axes.dots(average), 2.6, kTrain);
  canvas.polyline(axes.dots(curves.held_out), 1.6, kHeldOut);
  for (const auto& dot : axes.dots(curves.held_out)) canvas.disc(dot, 4.5, kHeldOut);
  canvas.unclip();
}

// A line of its own, right to left, where no curve can run beneath it.
void draw_legend(Canvas& canvas, const LossCurves& curves, const std::vector<CurvePoint>& average) {
  constexpr double kSample = 30, kGap = 10, kBetween = 26;
  double x = kRight;
  const auto entry = [&](const std::string& words, const Colour& colour, double width, bool dotted) {
    x -= canvas.text({.text = words, .anchor = 1}, {x, kLegendY + 5}, kInk) + kGap;
    canvas.line({x - kSample, kLegendY}, {x, kLegendY}, width, colour);
    if (dotted) canvas.disc({x - kSample / 2, kLegendY}, 4.5, colour);
    x -= kSample + kBetween;
  };
  if (!curves.held_out.empty()) entry(fmt::format("held out, last {:.4g}", curves.held_out.back().value), kHeldOut, 1.6, true);
  if (!curves.train.empty()) {
    entry(fmt::format("train, averaged, last {:.4g}", average.back().value), kTrain, 2.6, false);
    entry("train", kTrainRaw, 1.2, false);
  }
}

}  // namespace

LossCurves loss_curves(const std::vector<MetricsLine>& metrics, std::string title) {
  LossCurves curves{.title = std::move(title), .train = {}, .held_out = {}};
  for (const auto& line : metrics) {
    const auto step = static_cast<double>(line.step);
    if (const auto loss = line.get(metric::kLoss)) curves.train.push_back({step, *loss});
    if (const auto loss = line.get(metric::kHeldOutLoss)) curves.held_out.push_back({step, *loss});
  }
  return curves;
}

std::vector<CurvePoint> smoothed(const std::vector<CurvePoint>& points) {
  const double keep = 1 - 1 / std::max(1.0, static_cast<double>(points.size()) / 20);
  double sum = 0, weight = 0;
  std::vector<CurvePoint> out;
  for (const auto& point : points) {
    sum = keep * sum + (1 - keep) * point.value;
    weight = keep * weight + (1 - keep);
    out.push_back({point.step, sum / weight});
  }
  return out;
}

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {low};
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  double spacing = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= raw * 0.999999) spacing = factor * power;
  std::vector<double> ticks;
  const double first = std::ceil(low / spacing - 1e-9), last = std::floor(high / spacing + 1e-9);
  for (double i = first; i <= last; ++i) ticks.push_back(i == 0 ? 0 : i * spacing);
  return ticks;
}

void plot_losses(const std::filesystem::path& path, const LossCurves& given) {
  const LossCurves curves{.title = given.title, .train = finite(given.train), .held_out = finite(given.held_out)};
  const auto average = smoothed(curves.train);
  const Axes axes{range_of_steps(curves), range_of_values(curves, average)};
  Canvas canvas(kWidth, kHeight);
  draw_axes(canvas, axes);
  draw_curves(canvas, axes, curves, average);
  draw_legend(canvas, curves, average);
  Label title{.text = curves.title, .size = 20, .bold = true};
  title.text = canvas.shortened(title, kRight - kLeft);
  canvas.text(title, {kLeft, kTitleY}, kInk);
  if (curves.train.empty() && curves.held_out.empty())
    canvas.text({.text = "no finite losses were reported", .size = 18, .anchor = 0.5}, {(kLeft + kRight) / 2, (kTop + kBottom) / 2}, kFaintInk);
  write_file_atomically(path, canvas.png());
}

}  // namespace herd
