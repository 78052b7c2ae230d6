#include "runtime/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/base/text.h"
#include "runtime/report/plot.h"

namespace herd {
namespace {

// Narrow, so that its words can be read on a phone.
constexpr double kWidth = 480, kMargin = 14, kTitleHeight = 40, kLine = 26;
constexpr Paint kText{Paint::Role::kText}, kFaint{Paint::Role::kFaint}, kGrid{Paint::Role::kGrid}, kMark{Paint::Role::kMark};

Paint series(std::size_t number) { return {Paint::Role::kSeries, static_cast<int>(number)}; }

std::int64_t total_of(const std::vector<Amount>& amounts) {
  std::int64_t total = 0;
  for (const auto& amount : amounts) total += amount.count;
  return total;
}

Picture titled(const std::string& title, double height) {
  Picture picture(kWidth, height);
  const Label label{.text = title, .size = 17, .bold = true};
  picture.text({.text = fitted(label, kWidth - 2 * kMargin), .size = 17, .bold = true}, {kMargin, 26});
  return picture;
}

/// A part of a disc: turns from `begin` to `end`, clockwise from the top.
std::vector<Dot> sector(Dot centre, double radius, double begin, double end) {
  std::vector<Dot> outline;
  if (end - begin < 1) outline.push_back(centre);
  const int steps = std::max(1, static_cast<int>(std::ceil((end - begin) * 120)));
  for (int i = 0; i <= steps; ++i) {
    const auto angle = 2 * std::numbers::pi * (begin + (end - begin) * i / steps - 0.25);
    outline.push_back({centre.x + radius * std::cos(angle), centre.y + radius * std::sin(angle)});
  }
  return outline;
}

struct Bins {
  std::int64_t width = 1;
  std::vector<std::int64_t> counts;  // bin i: lengths of (i·width, (i + 1)·width]; the last one also all beyond
  bool open = false;
};

Bins bins_of(const std::map<std::int64_t, std::int64_t>& counts, std::int64_t shown) {
  std::int64_t all = 0, sum = 0, last = 1;
  for (const auto& [length, count] : counts) all += count;
  for (const auto& [length, count] : counts) {
    last = length;
    if ((sum += count) * 200 >= all * 199) break;
  }
  last = std::max<std::int64_t>({last, shown, 1});
  Bins bins;
  for (std::int64_t power = 1; last > bins.width * 40; power *= 10)
    for (const std::int64_t factor : {2, 5, 10})
      if (last > bins.width * 40) bins.width = factor * power;
  bins.counts.resize(static_cast<std::size_t>((last + bins.width - 1) / bins.width));
  for (const auto& [length, count] : counts) {
    const auto bin = static_cast<std::size_t>((std::max<std::int64_t>(length, 1) - 1) / bins.width);
    bins.open = bins.open || bin >= bins.counts.size();
    bins.counts[std::min(bin, bins.counts.size() - 1)] += count;
  }
  return bins;
}

}  // namespace

std::vector<Amount> greatest(std::vector<Amount> amounts, std::size_t most) {
  std::sort(amounts.begin(), amounts.end(),
            [](const Amount& a, const Amount& b) { return a.count != b.count ? a.count > b.count : a.name < b.name; });
  if (amounts.size() <= most) return amounts;
  Amount rest{fmt::format("other ({})", amounts.size() - most + 1)};
  for (auto i = most - 1; i < amounts.size(); ++i) rest.count += amounts[i].count;
  amounts.resize(most - 1);
  amounts.push_back(std::move(rest));
  return amounts;
}

Picture pie_chart(const std::string& title, const std::vector<Amount>& amounts) {
  constexpr double kRadius = 88, kLegend = 2 * kMargin + 2 * kRadius + 12;
  const auto parts = greatest(amounts, kSeriesColours);
  const auto total = std::max<std::int64_t>(1, total_of(parts));
  const auto height = std::max(2 * kRadius, kLine * static_cast<double>(parts.size())) + kTitleHeight + kMargin;
  auto picture = titled(title, height);
  const Dot centre{kMargin + kRadius, kTitleHeight + kRadius};
  double turn = 0, y = kTitleHeight + 16;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto share = static_cast<double>(parts[i].count) / static_cast<double>(total);
    if (parts[i].count > 0) picture.area(sector(centre, kRadius, turn, turn + share), series(i));
    turn += share;
    const Label told{.text = fmt::format("{} · {:.1f} %", with_thousands(parts[i].count), 100 * share), .size = 14, .anchor = 1};
    picture.box({kLegend, y - 11}, {kLegend + 12, y + 1}, series(i));
    picture.text(told, {kWidth - kMargin, y}, kFaint);
    const Label name{.text = parts[i].name, .size = 14};
    picture.text({.text = fitted(name, kWidth - kMargin - kLegend - 28 - estimated_width(told)), .size = 14}, {kLegend + 18, y});
    y += kLine;
  }
  return picture;
}

Picture bar_chart(const std::string& title, const std::vector<Amount>& amounts) {
  constexpr double kRow = 42;
  const auto bars = greatest(amounts, 24);
  std::int64_t most = 1;
  for (const auto& bar : bars) most = std::max(most, bar.count);
  auto picture = titled(title, kTitleHeight + kRow * static_cast<double>(bars.size()) + kMargin);
  double y = kTitleHeight + 14;
  for (const auto& bar : bars) {
    const Label told{.text = with_thousands(bar.count), .size = 14, .anchor = 1};
    const Label name{.text = bar.name, .size = 14};
    picture.text({.text = fitted(name, kWidth - 3 * kMargin - estimated_width(told)), .size = 14}, {kMargin, y});
    picture.text(told, {kWidth - kMargin, y}, kFaint);
    picture.box({kMargin, y + 6}, {kWidth - kMargin, y + 16}, kGrid);
    const auto length = (kWidth - 2 * kMargin) * static_cast<double>(bar.count) / static_cast<double>(most);
    if (bar.count > 0) picture.box({kMargin, y + 6}, {kMargin + std::max(1.0, length), y + 16}, series(0));
    y += kRow;
  }
  return picture;
}

Picture length_chart(const std::string& title, const std::map<std::int64_t, std::int64_t>& counts, const std::string& unit,
                     const LengthMark& mark) {
  constexpr double kLeft = 62, kRight = kWidth - kMargin, kTop = kTitleHeight + 26, kBottom = 300, kHeight = 352;
  const auto bins = bins_of(counts, mark.name.empty() ? 0 : mark.length);
  const auto most = static_cast<double>(std::max<std::int64_t>(1, *std::max_element(bins.counts.begin(), bins.counts.end())));
  const auto end = static_cast<double>(bins.width) * static_cast<double>(bins.counts.size());
  auto picture = titled(title, kHeight);
  const auto x_of = [&](double length) { return kLeft + (kRight - kLeft) * length / end; };
  const auto y_of = [&](double count) { return kBottom - (kBottom - kTop) * count / most; };
  for (const auto tick : nice_ticks(0, most, 5)) {
    if (tick != std::floor(tick)) continue;
    picture.line({kLeft, y_of(tick)}, {kRight, y_of(tick)}, 1, kGrid);
    picture.text({.text = with_thousands(std::llround(tick)), .size = 13, .anchor = 1}, {kLeft - 6, y_of(tick) + 4}, kFaint);
  }
  for (std::size_t i = 0; i < bins.counts.size(); ++i) {
    const auto begin = static_cast<double>(bins.width) * static_cast<double>(i);
    if (bins.counts[i] > 0)
      picture.box({x_of(begin) + 0.5, std::min(y_of(static_cast<double>(bins.counts[i])), kBottom - 1)},
                  {x_of(begin + static_cast<double>(bins.width)) - 0.5, kBottom}, series(0));
  }
  picture.line({kLeft, kBottom}, {kRight, kBottom}, 1, kFaint);
  for (const auto tick : nice_ticks(0, end, 6))
    if (tick == std::floor(tick))
      picture.text({.text = with_thousands(std::llround(tick)), .size = 13, .anchor = 0.5}, {x_of(tick), kBottom + 18}, kFaint);
  const auto below = fmt::format("length in {}{}", unit, bins.open ? ", the last bar with all longer ones" : "");
  picture.text({.text = below, .size = 14, .anchor = 0.5}, {(kLeft + kRight) / 2, kHeight - 12});
  if (!mark.name.empty()) {
    const auto x = x_of(static_cast<double>(mark.length));
    picture.line({x, kTop - 8}, {x, kBottom}, 2, kMark);
    picture.text({.text = mark.name, .size = 13, .anchor = x > kWidth / 2 ? 1.0 : 0.0}, {x, kTop - 13}, kMark);
  }
  return picture;
}

}  // namespace herd
