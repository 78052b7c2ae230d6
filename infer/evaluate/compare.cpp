#include "infer/evaluate/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "data/template/jinja/text.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

/// Enough of a text to know it by.
std::string beginning(const std::string& text) {
  constexpr std::size_t kCharacters = 40;
  const auto characters = jinja::characters(text);
  if (characters.size() <= kCharacters) return "'" + text + "'";
  return "'" + text.substr(0, static_cast<std::size_t>(characters[kCharacters].data() - text.data())) + "…'";
}

/// In what two runs of a task differ that are to be paired; empty: in nothing.
std::string unlike(const ComparedRun& a, const ComparedRun& b) {
  const auto task = a.results.of("task_fingerprint"), other = b.results.of("task_fingerprint");
  if (task != other) return fmt::format("tasks of fingerprint {} and {}", task, other);
  if (a.outcomes.size() != b.outcomes.size()) return fmt::format("{} and {}", plural(std::ssize(a.outcomes), "record"), b.outcomes.size());
  for (std::size_t i = 0; i < a.outcomes.size(); ++i)
    for (const auto& [what, field] : {std::pair("question", &Outcome::question), std::pair("options", &Outcome::options), std::pair("reference", &Outcome::reference), std::pair("category", &Outcome::category)})
      if (a.outcomes[i].*field != b.outcomes[i].*field) return fmt::format("the {} of record {}: {} and {}", what, i + 1, beginning(a.outcomes[i].*field), beginning(b.outcomes[i].*field));
  return "";
}

/// A metric's scores in the records that both have it of.
std::optional<Interval> difference(const ComparedRun& a, const ComparedRun& b, const ComparedRow& row) {
  std::vector<double> of_a, of_b;
  for (std::size_t i = 0; i < a.outcomes.size(); ++i) {
    const auto &first = a.outcomes[i], &second = b.outcomes[i];
    if (row.category != "all" && first.category != row.category) continue;
    const auto x = first.scores.find(row.metric), y = second.scores.find(row.metric);
    if (x == first.scores.end() || y == second.scores.end()) continue;
    of_a.push_back(x->second);
    of_b.push_back(y->second);
  }
  return of_a.empty() ? std::nullopt : std::optional(bootstrap_difference(of_a, of_b));
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

Comparison compare(const std::vector<ComparedRun>& runs) {
  Comparison out;
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (const auto& value : runs[run].results.values) {
      const auto task = runs[run].results.of("task");
      auto row = std::ranges::find_if(out.rows, [&](const ComparedRow& r) { return r.task == task && r.metric == value.metric && r.category == value.category; });
      if (row == out.rows.end())
        row = out.rows.insert(row, {.task = task, .metric = value.metric, .category = value.category, .values = std::vector<std::optional<MetricValue>>(runs.size()), .differences = std::vector<std::optional<Interval>>(runs.size())});
      row->values[run] = value;
    }
  std::map<std::pair<std::size_t, std::size_t>, std::string> apart;  // of two runs, in what
  for (auto& row : out.rows) {
    const auto first = static_cast<std::size_t>(std::ranges::find_if(row.values, [](const auto& value) { return value.has_value(); }) - row.values.begin());
    for (auto run = first + 1; run < runs.size(); ++run) {
      if (!row.values[run]) continue;
      const auto [place, is_new] = apart.try_emplace({first, run});
      if (is_new) place->second = unlike(runs[first], runs[run]);
      if (place->second.empty()) row.differences[run] = difference(runs[run], runs[first], row);
    }
  }
  for (const auto& [pair, what] : apart)
    if (!what.empty()) out.unpaired.push_back(fmt::format("no differences between {} and {}: they have {}", runs[pair.first].name, runs[pair.second].name, what));
  return out;
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
