#include "infer/evaluate/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

/// The scores of a metric by record; none where the two runs did not answer the same records.
std::optional<std::pair<std::vector<double>, std::vector<double>>> paired(const ComparedRun& a, const ComparedRun& b, const ComparedRow& row) {
  if (a.outcomes.size() != b.outcomes.size() || a.results.of("data_fingerprint") != b.results.of("data_fingerprint")) return std::nullopt;
  std::pair<std::vector<double>, std::vector<double>> scores;
  for (std::size_t i = 0; i < a.outcomes.size(); ++i) {
    const auto &first = a.outcomes[i], &second = b.outcomes[i];
    if (row.category != "all" && first.category != row.category) continue;
    const auto x = first.scores.find(row.metric), y = second.scores.find(row.metric);
    if (x == first.scores.end() || y == second.scores.end()) continue;
    scores.first.push_back(x->second);
    scores.second.push_back(y->second);
  }
  return scores.first.empty() ? std::nullopt : std::optional(scores);
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:+.3g} ({:+.3g} to {:+.3g})", interval->mean, interval->low, interval->high) : "";
}

}  // namespace

std::size_t ComparedRow::best() const {
  std::size_t best = values.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    if (best == values.size() || (lower_is_better(metric) ? values[i]->value < values[best]->value : values[i]->value > values[best]->value)) best = i;
  }
  return best;
}

std::vector<ComparedRow> compare(const std::vector<ComparedRun>& runs) {
  std::vector<ComparedRow> rows;
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (const auto& value : runs[run].results.values) {
      const auto task = runs[run].results.of("task");
      auto row = std::ranges::find_if(rows, [&](const ComparedRow& r) { return r.task == task && r.metric == value.metric && r.category == value.category; });
      if (row == rows.end())
        row = rows.insert(row, {.task = task, .metric = value.metric, .category = value.category, .values = std::vector<std::optional<MetricValue>>(runs.size()), .differences = std::vector<std::optional<Interval>>(runs.size())});
      row->values[run] = value;
    }
  for (auto& row : rows) {
    const auto first = std::ranges::find_if(row.values, [](const auto& value) { return value.has_value(); }) - row.values.begin();
    for (auto run = static_cast<std::size_t>(first) + 1; run < runs.size(); ++run) {
      if (!row.values[run]) continue;
      if (const auto scores = paired(runs[run], runs[static_cast<std::size_t>(first)], row)) row.differences[run] = bootstrap_difference(scores->first, scores->second);
    }
  }
  return rows;
}

std::string comparison_table(const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows) {
  std::vector<std::string> header{"task", "metric", "category"};
  std::string sides = "lll";
  for (std::size_t run = 0; run < runs.size(); ++run) {
    header.push_back(runs[run].name);
    sides += 'r';
    if (run == 0) continue;
    header.emplace_back("difference, 95 %");
    sides += 'r';
  }
  std::vector<std::vector<std::string>> cells{header};
  for (const auto& row : rows) {
    cells.push_back({row.task, row.metric, row.category});
    for (std::size_t run = 0; run < runs.size(); ++run) {
      cells.back().push_back(row.values[run] ? short_number(row.values[run]->value) + (row.best() == run ? " *" : "  ") : "");
      if (run > 0) cells.back().push_back(interval_text(row.differences[run]));
    }
  }
  return text_table(cells, sides);
}

std::string comparison_csv(const std::vector<ComparedRun>& runs, const std::vector<ComparedRow>& rows) {
  std::vector<std::vector<std::string>> cells{{"task", "metric", "category"}};
  for (std::size_t run = 0; run < runs.size(); ++run) {
    for (const auto* what : {"", " low", " high"}) cells[0].push_back(runs[run].name + what);
    if (run > 0)
      for (const auto* what : {" difference", " difference low", " difference high"}) cells[0].push_back(runs[run].name + what);
  }
  const auto add = [&](bool there, double value) { cells.back().push_back(there ? fmt::format("{}", value) : ""); };
  for (const auto& row : rows) {
    cells.push_back({row.task, row.metric, row.category});
    for (std::size_t run = 0; run < runs.size(); ++run) {
      const auto& value = row.values[run];
      const bool with_interval = value && value->interval;
      const auto interval = with_interval ? *value->interval : Interval{};
      add(value.has_value(), value ? value->value : 0);
      add(with_interval, interval.low);
      add(with_interval, interval.high);
      if (run == 0) continue;
      const auto difference = row.differences[run].value_or(Interval{});
      for (const auto end : {difference.mean, difference.low, difference.high}) add(row.differences[run].has_value(), end);
    }
  }
  std::string out;
  for (auto& line : cells) {
    std::ranges::transform(line, line.begin(), csv_cell);
    out += join(line, ",") + "\n";
  }
  return out;
}

}  // namespace herd
