#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "infer/evaluate/compare.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr double kWidth = 640, kMargin = 14, kTop = 44, kBar = 14, kLine = 24;
constexpr Paint kFaint{Paint::Role::kFaint}, kGrid{Paint::Role::kGrid}, kMark{Paint::Role::kMark};

Paint series(std::size_t run) { return {Paint::Role::kSeries, static_cast<int>(run)}; }

std::vector<const ComparedRow*> rows_of(const std::string& metric, const std::vector<ComparedRow>& rows) {
  std::vector<const ComparedRow*> out;
  for (const auto& row : rows)
    if (row.metric == metric) out.push_back(&row);
  if (out.empty()) throw DataError({.who = "--metric " + metric, .found = "no run that has it", .expected = "one of the table's", .remedy = ""});
  return out;
}

double greatest(const std::vector<const ComparedRow*>& rows) {
  double most = 0;
  for (const auto* row : rows)
    for (const auto& value : row->values)
      for (const auto end : {value ? value->value : 0, value && value->interval ? value->interval->high : 0})
        if (std::isfinite(end)) most = std::max(most, end);
  return most > 0 ? most : 1;
}

/// Several tasks in one picture: their names are told.
std::string title_of(const ComparedRow& row, const std::vector<const ComparedRow*>& rows) {
  const bool one_task = std::ranges::all_of(rows, [&](const auto* other) { return other->task == row.task; });
  return one_task ? row.category : row.task + ": " + row.category;
}

Picture titled(const std::string& metric, double height, const std::vector<ComparedRun>& runs) {
  Picture picture(kWidth, height + kLine * static_cast<double>(runs.size()) + kMargin);
  picture.text({.text = metric, .size = 17, .bold = true}, {kMargin, 26});
  auto y = height + kLine / 2;
  for (std::size_t run = 0; run < runs.size(); ++run, y += kLine) {
    picture.box({kMargin, y - 11}, {kMargin + 12, y + 1}, series(run));
    picture.text({.text = fitted({.text = runs[run].name, .size = 14}, kWidth - 3 * kMargin - 12), .size = 14}, {kMargin + 20, y});
  }
  return picture;
}

}  // namespace

Picture comparison_bars(const std::string& metric, const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& all_rows) {
  constexpr double kLeft = 170, kRight = kWidth - 70;
  const auto rows = rows_of(metric, all_rows);
  const auto group = kBar * static_cast<double>(runs.size()) + 12;
  auto picture = titled(metric, kTop + group * static_cast<double>(rows.size()), runs);
  const auto x_of = [&, most = greatest(rows)](double value) { return kLeft + (kRight - kLeft) * std::clamp(value / most, 0.0, 1.0); };
  double y = kTop;
  for (const auto* row : rows) {
    picture.text({.text = fitted({.text = title_of(*row, rows), .size = 14}, kLeft - 2 * kMargin), .size = 14}, {kMargin, y + (group - 12) / 2 + 5});
    for (std::size_t run = 0; run < runs.size(); ++run, y += kBar) {
      const auto& value = row->values[run];
      if (!value) continue;
      picture.box({kLeft, y + 1}, {std::max(kLeft + 1, x_of(value->value)), y + kBar - 1}, series(run));
      if (value->interval) picture.line({x_of(value->interval->low), y + kBar / 2}, {x_of(value->interval->high), y + kBar / 2}, 1.5, kMark);
      picture.text({.text = short_number(value->value), .size = 12, .anchor = 1}, {kWidth - kMargin, y + kBar - 3}, kFaint);
    }
    y += 12;
  }
  return picture;
}

Picture comparison_radar(const std::string& metric, const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& all_rows) {
  constexpr double kRadius = 190;
  constexpr Dot kCentre{kWidth / 2, kTop + kRadius + 30};
  auto rows = rows_of(metric, all_rows);
  std::erase_if(rows, [](const auto* row) { return row->category == "all" || row->category == "macro"; });
  if (rows.size() < 3) throw DataError({.who = "--radar", .found = fmt::format("{} categories with {}", rows.size(), metric), .expected = "three or more", .remedy = "--picture draws bars"});
  const auto most = greatest(rows);
  const auto place = [&](std::size_t row, double part) {
    const auto angle = 2 * std::numbers::pi * (static_cast<double>(row) / static_cast<double>(rows.size()) - 0.25);
    return Dot{kCentre.x + kRadius * part * std::cos(angle), kCentre.y + kRadius * part * std::sin(angle)};
  };
  auto picture = titled(metric, kTop + 2 * kRadius + 80, runs);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (const double ring : {0.25, 0.5, 0.75, 1.0}) picture.line(place(row, ring), place((row + 1) % rows.size(), ring), 1, kGrid);
    picture.line(kCentre, place(row, 1), 1, kGrid);
    const auto at = place(row, 1.07);
    picture.text({.text = fitted({.text = title_of(*rows[row], rows), .size = 13}, 150), .size = 13, .anchor = at.x < kCentre.x - 5 ? 1.0 : at.x > kCentre.x + 5 ? 0.0 : 0.5}, {at.x, at.y + 4});
  }
  picture.text({.text = short_number(most), .size = 12}, {kCentre.x + 4, kCentre.y - kRadius + 12}, kFaint);
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const auto next = (row + 1) % rows.size();
      const auto &from = rows[row]->values[run], &to = rows[next]->values[run];
      if (from && to) picture.line(place(row, std::clamp(from->value / most, 0.0, 1.0)), place(next, std::clamp(to->value / most, 0.0, 1.0)), 2.5, series(run));
    }
  return picture;
}

}  // namespace herd
