#include "runtime/report/plot.h"

#include <cairo.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "runtime/base/text.h"

namespace herd {
namespace {

constexpr int kWidth = 1200, kHeight = 720;
constexpr double kLeft = 92, kRight = 28, kTop = 78, kBottom = 74;  // margins around the plotted area

struct Colour {
  double red, green, blue, alpha = 1;
};
constexpr Colour kInk{0.16, 0.18, 0.22}, kFaintInk{0.42, 0.45, 0.50}, kGrid{0.90, 0.91, 0.93}, kPaper{1, 1, 1};
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

class Canvas {
 public:
  Canvas(Range steps, Range values)
      : steps_(steps),
        values_(values),
        surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, kWidth, kHeight), cairo_surface_destroy),
        context_(cairo_create(surface_.get()), cairo_destroy) {
    colour(kPaper);
    cairo_paint(cr());
    cairo_set_line_join(cr(), CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cr(), CAIRO_LINE_CAP_ROUND);
  }

  double x(double step) const { return kLeft + steps_.part(step) * (kWidth - kLeft - kRight); }
  double y(double value) const { return kHeight - kBottom - values_.part(value) * (kHeight - kTop - kBottom); }
  cairo_t* cr() const { return context_.get(); }
  void colour(const Colour& c) const { cairo_set_source_rgba(cr(), c.red, c.green, c.blue, c.alpha); }

  // `anchor` 0: text begins at x, 0.5: centred on it, 1: ends there.
  double text(const std::string& words, double at_x, double at_y, double size, double anchor, bool bold = false) const {
    cairo_select_font_face(cr(), "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr(), size);
    cairo_text_extents_t extents{};
    cairo_text_extents(cr(), words.c_str(), &extents);
    cairo_move_to(cr(), at_x - anchor * extents.x_advance, at_y);
    cairo_show_text(cr(), words.c_str());
    return extents.x_advance;
  }

  void line(double x0, double y0, double x1, double y1, double width, const Colour& c) const {
    colour(c);
    cairo_set_line_width(cr(), width);
    cairo_move_to(cr(), x0, y0);
    cairo_line_to(cr(), x1, y1);
    cairo_stroke(cr());
  }

  void dot(double at_x, double at_y, const Colour& c) const {
    cairo_arc(cr(), at_x, at_y, 4.5, 0, 2 * M_PI);
    colour(c);
    cairo_fill_preserve(cr());
    colour(kPaper);
    cairo_set_line_width(cr(), 1.2);
    cairo_stroke(cr());
  }

  void curve(const std::vector<CurvePoint>& points, double width, const Colour& c) const {
    colour(c);
    cairo_set_line_width(cr(), width);
    for (const auto& point : points) cairo_line_to(cr(), x(point.step), y(point.value));
    cairo_stroke(cr());
  }

  std::string png() const {
    std::string bytes;
    const auto append = [](void* out, const unsigned char* data, unsigned int length) {
      static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(data), length);
      return CAIRO_STATUS_SUCCESS;
    };
    auto status = cairo_status(cr());
    if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_write_to_png_stream(surface_.get(), append, &bytes);
    if (status != CAIRO_STATUS_SUCCESS)
      throw IoError({.who = "loss picture", .found = std::string("cairo cannot draw it: ") + cairo_status_to_string(status)});
    return bytes;
  }

 private:
  Range steps_, values_;
  std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface_;
  std::unique_ptr<cairo_t, void (*)(cairo_t*)> context_;
};

void draw_axes(const Canvas& canvas, Range steps, Range values) {
  const double right = kWidth - kRight, bottom = kHeight - kBottom;
  for (const double value : nice_ticks(values.low, values.high, 7)) {
    const double y = std::round(canvas.y(value)) + 0.5;  // on the middle of a pixel, or a line of 1 blurs over 2
    canvas.line(kLeft, y, right, y, 1, kGrid);
    canvas.colour(kFaintInk);
    canvas.text(fmt::format("{:.5g}", value), kLeft - 10, y + 5, 15, 1);
  }
  for (const double step : nice_ticks(steps.low, steps.high, 8)) {
    if (step != std::floor(step)) continue;  // there are no half steps
    const double x = std::round(canvas.x(step)) + 0.5;
    canvas.line(x, bottom, x, bottom + 6, 1, kFaintInk);
    canvas.colour(kFaintInk);
    canvas.text(with_thousands(std::llround(step)), x, bottom + 24, 15, 0.5);
  }
  canvas.line(kLeft, bottom + 0.5, right, bottom + 0.5, 1, kFaintInk);
  canvas.colour(kInk);
  canvas.text("step", (kLeft + right) / 2, kHeight - 22, 16, 0.5);
  cairo_save(canvas.cr());
  cairo_translate(canvas.cr(), 28, (kTop + bottom) / 2);
  cairo_rotate(canvas.cr(), -M_PI / 2);
  canvas.text("loss (nats per token)", 0, 0, 16, 0.5);
  cairo_restore(canvas.cr());
}

void draw_curves(const Canvas& canvas, const LossCurves& curves, const std::vector<CurvePoint>& average) {
  cairo_save(canvas.cr());
  cairo_rectangle(canvas.cr(), kLeft, kTop - 6, kWidth - kLeft - kRight + 6, kHeight - kTop - kBottom + 6);
  cairo_clip(canvas.cr());
  canvas.curve(curves.train, 1.2, kTrainRaw);
  canvas.curve(average, 2.6, kTrain);
  canvas.curve(curves.held_out, 1.6, kHeldOut);
  for (const auto& point : curves.held_out) canvas.dot(canvas.x(point.step), canvas.y(point.value), kHeldOut);
  cairo_restore(canvas.cr());
}

// Right to left in the line of the title, where no curve can run beneath it.
void draw_legend(const Canvas& canvas, const LossCurves& curves) {
  double x = kWidth - kRight;
  const double y = 40;
  const auto entry = [&](const std::string& words, const Colour& c, double width, bool dotted) {
    canvas.colour(kInk);
    x -= canvas.text(words, x, y + 5, 15, 1) + 10;
    canvas.line(x - 30, y, x, y, width, c);
    if (dotted) canvas.dot(x - 15, y, c);
    x -= 30 + 26;
  };
  const auto last = [](const std::vector<CurvePoint>& points) { return points.back().value; };
  if (!curves.held_out.empty()) entry(fmt::format("held out, last {:.4g}", last(curves.held_out)), kHeldOut, 1.6, true);
  if (!curves.train.empty()) {
    entry(fmt::format("train, averaged, last {:.4g}", last(smoothed(curves.train))), kTrain, 2.6, false);
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
  const auto steps = range_of_steps(curves);
  const auto values = range_of_values(curves, average);
  const Canvas canvas(steps, values);
  draw_axes(canvas, steps, values);
  draw_curves(canvas, curves, average);
  draw_legend(canvas, curves);
  canvas.colour(kInk);
  canvas.text(curves.title, kLeft, 46, 20, 0, true);
  if (curves.train.empty() && curves.held_out.empty()) {
    canvas.colour(kFaintInk);
    canvas.text("no finite losses were reported", (kLeft + kWidth - kRight) / 2, (kTop + kHeight - kBottom) / 2, 18, 0.5);
  }
  write_file_atomically(path, canvas.png());
}

}  // namespace herd
