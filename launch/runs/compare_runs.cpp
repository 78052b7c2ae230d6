#include "launch/runs/compare_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "launch/run_settings.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"
#include "runtime/report/curves.h"
#include "runtime/report/metrics.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;
using Row = RunComparison::Row;

std::vector<std::string> names_of(const std::vector<RunFolder>& runs) {
  std::vector<std::string> names, paths;
  for (const auto& run : runs) names.push_back(run.root().filename().string()), paths.push_back(run.root().string());
  const std::set<std::string> different(names.begin(), names.end());
  return different.size() == names.size() ? names : paths;
}

std::vector<Row> differing(const std::vector<RunFolder>& runs) {
  std::vector<Settings> all;
  std::set<std::string> keys;
  for (const auto& run : runs) {
    all.push_back(settings_of(read_yaml(run.config())));
    for (const auto& [key, value] : all.back()) keys.insert(key);
  }
  std::vector<Row> rows;
  for (const auto& key : keys) {
    if (key == "run.name" || key == "run.folder") continue;
    Row row{.key = key, .values = {}};
    for (const auto& settings : all) row.values.push_back(settings.contains(key) ? settings.at(key) : "-");
    const bool same = std::ranges::all_of(row.values, [&](const auto& value) { return value == row.values.front(); });
    if (!same) rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::pair<std::string, std::string>> numbers_of(const RunFolder& run) {
  std::int64_t steps = 0;
  std::optional<double> loss, held_out, lowest, tokens;
  std::int64_t lowest_step = 0;
  std::vector<double> speeds;
  for (const auto& line : read_metrics(run.metrics())) {
    steps = std::max(steps, line.step);
    if (const auto found = line.get(metric::kLoss)) loss = found;
    if (const auto found = line.get(metric::kTokens)) tokens = found;
    if (const auto found = line.get(metric::kTokensPerS)) speeds.push_back(*found);
    const auto found = line.get(metric::kHeldOutLoss);
    if (found && (!lowest || *found < *lowest)) lowest = found, lowest_step = line.step;
    if (found) held_out = found;
  }
  std::ranges::sort(speeds);
  const auto text = [](std::optional<double> value) { return value ? fmt::format("{:.6g}", *value) : "-"; };
  return {{"steps", std::to_string(steps)},
          {"loss, last", text(loss)},
          {"held-out loss, last", text(held_out)},
          {"held-out loss, lowest", lowest ? fmt::format("{:.6g} at {}", *lowest, lowest_step) : "-"},
          {"tokens", tokens ? with_thousands(static_cast<std::int64_t>(*tokens)) : "-"},
          {"tokens/s, median", speeds.empty() ? "-" : fmt::format("{:.5g}", speeds[speeds.size() / 2])}};
}

std::vector<Row> numbers(const std::vector<RunFolder>& runs) {
  std::vector<Row> rows;
  for (const auto& run : runs) {
    const auto found = numbers_of(run);
    rows.resize(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      rows[i].key = found[i].first;
      rows[i].values.push_back(found[i].second);
    }
  }
  return rows;
}

}  // namespace

RunComparison compare_runs(const std::vector<RunFolder>& runs) {
  if (runs.size() < 2)
    throw ConfigError({.who = "herd runs compare",
                       .found = plural(static_cast<std::int64_t>(runs.size()), "run"),
                       .expected = "two or more",
                       .remedy = ""});
  return {.names = names_of(runs), .settings = differing(runs), .numbers = numbers(runs)};
}

std::string comparison_text(const RunComparison& comparison) {
  std::vector<std::vector<std::string>> rows{{""}};
  rows.front().insert(rows.front().end(), comparison.names.begin(), comparison.names.end());
  for (const auto* part : {&comparison.settings, &comparison.numbers})
    for (const auto& row : *part) {
      rows.push_back({row.key});
      rows.back().insert(rows.back().end(), row.values.begin(), row.values.end());
    }
  const auto same = comparison.settings.empty() ? "the recipes say the same\n" : "";
  return same + text_table(rows, "l" + std::string(comparison.names.size(), 'l'));
}

std::string comparison_json(const RunComparison& comparison) {
  Json json{{"runs", comparison.names}, {"settings", Json::object()}, {"numbers", Json::object()}};
  for (const auto& row : comparison.settings) json["settings"][row.key] = row.values;
  for (const auto& row : comparison.numbers) json["numbers"][row.key] = row.values;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Picture comparison_curves(const RunComparison& comparison, const std::vector<RunFolder>& runs) {
  std::vector<LossCurves> curves;
  for (std::size_t i = 0; i < runs.size(); ++i) curves.push_back(loss_curves(read_metrics(runs[i].metrics()), comparison.names[i]));
  return curves_picture(join(comparison.names), curves);
}

}  // namespace herd
