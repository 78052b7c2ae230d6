#include "sweep/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

namespace herd::sweep {
namespace {

constexpr Paint kFaint{Paint::Role::kFaint}, kGrid{Paint::Role::kGrid}, kMark{Paint::Role::kMark}, kGood{Paint::Role::kSeries, 0};
constexpr double kMargin = 14, kTop = 56, kPanel = 480, kPanelHeight = 300;

std::string text_of(double value) { return fmt::format("{}", value); }  // read back equal

std::optional<double> number_in(const std::string& text) { return number_of(ConfigNode::scalar(text)); }

std::vector<std::string> values_of(const std::string& key, const Plan& plan, const std::vector<Row>& rows) {
  std::vector<std::string> values;
  for (const auto& row : rows) values.push_back(cell_of(plan.settings()[row.setting], key));
  return values;
}

std::vector<std::string> metric_of(const std::vector<Row>& rows) {
  std::vector<std::string> values;
  for (const auto& row : rows) values.push_back(row.mean ? text_of(*row.mean) : "");
  return values;
}

int ranked(const std::vector<Row>& rows) {
  return static_cast<int>(std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.rank > 0; }));
}

// Rank 1 is marked, the best quarter stands out.
Paint paint_of(int rank, int ranked) { return rank == 1 ? kMark : rank <= (ranked + 3) / 4 ? kGood : kFaint; }

void disc(Picture& picture, Dot centre, double radius, Paint paint) {
  std::vector<Dot> outline;
  for (int i = 0; i < 16; ++i) {
    const auto angle = 2 * std::numbers::pi * i / 16;
    outline.push_back({centre.x + radius * std::cos(angle), centre.y + radius * std::sin(angle)});
  }
  picture.area(std::move(outline), paint);
}

void head(Picture& picture, const std::string& title, double width) {
  Label label{.text = title, .size = 17, .bold = true};
  label.text = fitted(label, width - 2 * kMargin);
  picture.text(label, {kMargin, 26});
}

struct Frame {
  double left, right, top, bottom;
  double x(double part) const { return left + part * (right - left); }
  double y(double part) const { return bottom - part * (bottom - top); }
};

void draw_scales(Picture& picture, const Frame& frame, const Scale& across, const Scale& up) {
  for (const auto& tick : up.ticks()) {
    picture.line({frame.left, frame.y(tick.at)}, {frame.right, frame.y(tick.at)}, 1, kGrid);
    picture.text({.text = fitted({.text = tick.text, .size = 13}, frame.left - 8), .size = 13, .anchor = 1}, {frame.left - 6, frame.y(tick.at) + 4}, kFaint);
  }
  const auto room = (frame.right - frame.left) / static_cast<double>(std::max<std::size_t>(across.ticks().size(), 1));
  for (const auto& tick : across.ticks()) {
    picture.line({frame.x(tick.at), frame.bottom}, {frame.x(tick.at), frame.bottom + 5}, 1, kFaint);
    picture.text({.text = fitted({.text = tick.text, .size = 13}, room), .size = 13, .anchor = 0.5}, {frame.x(tick.at), frame.bottom + 19}, kFaint);
  }
  picture.line({frame.left, frame.bottom}, {frame.right, frame.bottom}, 1, kFaint);
}

}  // namespace

Scale::Scale(const std::vector<std::string>& values, bool may_be_log) {
  std::set<std::string> seen;
  std::vector<double> numbers;
  for (const auto& value : values) {
    if (value.empty() || !seen.insert(value).second) continue;
    names_.push_back(value);
    if (const auto number = number_in(value)) numbers.push_back(*number);
  }
  numbers_ = numbers.size() == names_.size() && numbers.size() > 2;
  if (!numbers_) {
    const auto before = [&](const std::string& a, const std::string& b) {
      return numbers.size() == names_.size() ? *number_in(a) < *number_in(b) : a < b;
    };
    std::sort(names_.begin(), names_.end(), before);
    for (const auto& name : names_) ticks_.push_back({*at(name), name});
    return;
  }
  const auto [low, high] = std::minmax_element(numbers.begin(), numbers.end());
  low_ = *low, high_ = *high;
  log_ = may_be_log && low_ > 0 && high_ >= 20 * low_;
  std::vector<double> marks;
  if (log_) {
    for (auto power = std::floor(std::log10(low_)); power <= std::ceil(std::log10(high_)); ++power)
      for (const double factor : {1.0, 2.0, 5.0})
        if (const auto mark = factor * std::pow(10, power); (factor == 1 || high_ < 500 * low_) && mark >= low_ * 0.999 && mark <= high_ * 1.001) marks.push_back(mark);
  } else {
    marks = nice_ticks(low_, high_, 5);
  }
  for (const auto mark : marks) ticks_.push_back({*at(text_of(mark)), fmt::format("{:.4g}", mark)});
}

std::optional<double> Scale::at(const std::string& value) const {
  if (value.empty()) return std::nullopt;
  if (numbers_) {
    const auto number = *number_in(value);
    const auto part = log_ ? std::log(number / low_) / std::log(high_ / low_) : (number - low_) / (high_ - low_);
    return std::clamp(part, 0.0, 1.0);
  }
  const auto place = std::find(names_.begin(), names_.end(), value) - names_.begin();
  return (static_cast<double>(place) + 0.5) / static_cast<double>(names_.size());
}

Picture parallel_coordinates(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options) {
  constexpr double kStep = 170, kSide = 70, kHeight = 420;
  auto names = plan.keys();
  std::vector<std::vector<std::string>> columns;
  for (const auto& key : names) columns.push_back(values_of(key, plan, rows));
  names.push_back(options.metric);
  columns.push_back(metric_of(rows));
  const auto width = 2 * kSide + kStep * static_cast<double>(std::max<std::size_t>(names.size() - 1, 2));
  const Frame frame{kSide, width - kSide, kTop + 36, kHeight - 28};
  Picture picture(width, kHeight);
  head(picture, "Parameters and " + options.metric, width);

  const auto x_of = [&](std::size_t i) { return frame.left + (names.size() > 1 ? static_cast<double>(i) / static_cast<double>(names.size() - 1) : 0.5) * (frame.right - frame.left); };
  std::vector<Scale> scales;
  for (const auto& column : columns) scales.emplace_back(column);
  const auto count = ranked(rows);
  for (auto row = rows.size(); row-- > 0;) {  // the best on top
    if (rows[row].rank == 0) continue;
    const auto paint = paint_of(rows[row].rank, count);
    std::optional<Dot> last;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto part = scales[i].at(columns[i][row]);
      if (!part) continue;  // the setting has no such parameter: its line passes by
      const Dot dot{x_of(i), frame.y(*part)};
      if (last) picture.line(*last, dot, rows[row].rank == 1 ? 3 : 1.2, paint);
      last = dot;
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto x = x_of(i);
    picture.line({x, frame.top}, {x, frame.bottom}, 1.5, kFaint);
    const auto name = i + 1 < names.size() ? short_key(names[i], plan.keys()) : names[i];
    picture.text({.text = fitted({.text = name, .size = 14, .bold = true}, kStep - 10), .size = 14, .anchor = 0.5, .bold = true}, {x, frame.top - 14});
    for (const auto& tick : scales[i].ticks())
      picture.text({.text = fitted({.text = tick.text, .size = 12}, kStep / 2), .size = 12}, {x + 5, frame.y(tick.at) + 4});
  }
  return picture;
}

Picture metric_against(const std::string& key, const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options) {
  const auto across = values_of(key, plan, rows), up = metric_of(rows);
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < rows.size(); ++i) shown.push_back(up[i].empty() ? "" : across[i]);
  const Scale x(shown), y(up);
  const Frame frame{78, kPanel - kMargin, kTop, kPanelHeight - 44};
  Picture picture(kPanel, kPanelHeight);
  head(picture, fmt::format("{} against {}{}", options.metric, key, x.logarithmic() ? " (logarithmic)" : ""), kPanel);
  draw_scales(picture, frame, x, y);
  const auto count = ranked(rows);
  for (auto row = rows.size(); row-- > 0;) {
    const auto at_x = x.at(shown[row]), at_y = y.at(up[row]);
    if (at_x && at_y) disc(picture, {frame.x(*at_x), frame.y(*at_y)}, rows[row].rank == 1 ? 6 : 4, paint_of(rows[row].rank, count));
  }
  return picture;
}

Picture learning_curves(const std::vector<LearningCurve>& curves, const SweepOptions& options) {
  constexpr double kWidth = 960, kHeight = 420;
  std::vector<std::string> steps, values;
  int most = 0;
  for (const auto& curve : curves) {
    most = std::max(most, curve.rank);
    for (const auto& point : curve.points) {
      steps.push_back(text_of(point.step));
      values.push_back(text_of(point.value));
    }
  }
  const Scale x(steps, false), y(values, false);
  const Frame frame{78, kWidth - kMargin, kTop, kHeight - 44};
  Picture picture(kWidth, kHeight);
  head(picture, options.metric + " by step", kWidth);
  draw_scales(picture, frame, x, y);
  for (auto curve = curves.rbegin(); curve != curves.rend(); ++curve) {
    const auto paint = paint_of(curve->rank, most);
    std::optional<Dot> last;
    for (const auto& point : curve->points) {
      const Dot dot{frame.x(*x.at(text_of(point.step))), frame.y(*y.at(text_of(point.value)))};
      if (last) picture.line(*last, dot, curve->rank == 1 ? 2.6 : 1.2, paint);
      else disc(picture, dot, 2.5, paint);
      last = dot;
    }
  }
  return picture;
}

}  // namespace herd::sweep
