#include "runtime/report/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr double kWidth = 960, kPlotHeight = 480, kLeft = 76, kRight = kWidth - 24, kTop = 52, kBottom = kTop + kPlotHeight, kLine = 24;
constexpr double kLegendTop = kBottom + 62;
constexpr std::size_t kMostPoints = 500;  // of a line: more than the picture has places for
constexpr Paint kText{Paint::Role::kText}, kFaint{Paint::Role::kFaint}, kGrid{Paint::Role::kGrid};

struct Lines {
  std::vector<CurvePoint> train, held_out;
};

std::vector<CurvePoint> drawn(std::vector<CurvePoint> points) {
  std::erase_if(points, [](const auto& p) { return !std::isfinite(p.step) || !std::isfinite(p.value); });
  if (points.size() <= kMostPoints) return points;
  std::vector<CurvePoint> some;
  for (std::size_t i = 0; i < kMostPoints; ++i) some.push_back(points[i * (points.size() - 1) / (kMostPoints - 1)]);
  return some;
}

struct Frame {
  double steps = 1, low = std::numeric_limits<double>::infinity(), high = -low;

  void hold(const std::vector<CurvePoint>& points) {
    for (const auto& p : points) steps = std::max(steps, p.step), low = std::min(low, p.value), high = std::max(high, p.value);
  }
  void settle() {
    if (low > high) low = 0, high = 1;
    const auto spread = std::max(high - low, 1e-3 * std::max(std::abs(high), 1e-3));
    low -= 0.05 * spread, high += 0.05 * spread;
  }
  Dot at(const CurvePoint& p) const {
    return {kLeft + p.step / steps * (kRight - kLeft), kBottom - (p.value - low) / (high - low) * kPlotHeight};
  }
};

void draw_axes(Picture& picture, const Frame& frame) {
  for (const auto value : nice_ticks(frame.low, frame.high, 7)) {
    const auto y = frame.at({0, value}).y;
    picture.line({kLeft, y}, {kRight, y}, 1, kGrid);
    picture.text({.text = fmt::format("{:.5g}", value), .size = 13, .anchor = 1}, {kLeft - 8, y + 4}, kFaint);
  }
  for (const auto step : nice_ticks(0, frame.steps, 8)) {
    if (step != std::floor(step)) continue;
    picture.text({.text = with_thousands(std::llround(step)), .size = 13, .anchor = 0.5}, {frame.at({step, frame.low}).x, kBottom + 20},
                 kFaint);
  }
  picture.line({kLeft, kBottom}, {kRight, kBottom}, 1, kFaint);
  picture.text({.text = "step", .anchor = 0.5}, {(kLeft + kRight) / 2, kBottom + 42});
  picture.text({.text = "loss (nats per token)", .anchor = 0.5, .upwards = true}, {22, (kTop + kBottom) / 2});
}

void draw_line(Picture& picture, const Frame& frame, const std::vector<CurvePoint>& points, double width, Paint paint) {
  for (std::size_t i = 1; i < points.size(); ++i) picture.line(frame.at(points[i - 1]), frame.at(points[i]), width, paint);
}

void draw_dots(Picture& picture, const Frame& frame, const std::vector<CurvePoint>& points, Paint paint) {
  constexpr double kHalf = 3.5;
  for (const auto& point : points) {
    const auto [x, y] = frame.at(point);
    picture.box({x - kHalf, y - kHalf}, {x + kHalf, y + kHalf}, paint);
  }
}

std::string legend_of(const std::string& name, const Lines& lines) {
  auto text = name;
  if (!lines.train.empty()) text += fmt::format(", train {:.4g}", lines.train.back().value);
  if (!lines.held_out.empty()) text += fmt::format(", held out {:.4g}", lines.held_out.back().value);
  return lines.train.empty() && lines.held_out.empty() ? text + ", no finite losses" : text;
}

}  // namespace

Picture curves_picture(const std::string& title, const std::vector<LossCurves>& runs) {
  std::vector<Lines> all;
  Frame frame;
  for (const auto& run : runs) {
    auto train = run.train;
    std::erase_if(train, [](const auto& p) { return !std::isfinite(p.value); });
    all.push_back({drawn(smoothed(train)), drawn(run.held_out)});
    frame.hold(all.back().train);
    frame.hold(all.back().held_out);
  }
  frame.settle();
  Picture picture(kWidth, kLegendTop + kLine * static_cast<double>(runs.size()));
  const Label heading{.text = title, .size = 18, .bold = true};
  picture.text({.text = fitted(heading, kRight - kLeft), .size = 18, .bold = true}, {kLeft, 30});
  draw_axes(picture, frame);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Paint paint{Paint::Role::kSeries, static_cast<int>(i)};
    draw_line(picture, frame, all[i].train, 2.2, paint);
    draw_line(picture, frame, all[i].held_out, 1, paint);
    draw_dots(picture, frame, all[i].held_out, paint);
    const auto y = kLegendTop + kLine * static_cast<double>(i);
    picture.box({kLeft, y - 11}, {kLeft + 26, y - 3}, paint);
    const Label entry{.text = legend_of(runs[i].title, all[i])};
    picture.text({.text = fitted(entry, kRight - kLeft - 36)}, {kLeft + 36, y});
  }
  return picture;
}

}  // namespace herd
