#include "sweep/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "runtime/base/text.h"
#include "runtime/report/progress.h"

namespace herd::sweep {
namespace {

const ConfigNode* value_at(const Setting& setting, const std::string& key) {
  const auto found = std::find_if(setting.begin(), setting.end(), [&](const ConfigNode& node) { return node.key == key; });
  return found == setting.end() ? nullptr : &*found;
}

void measure(Row& row, const std::vector<double>& values) {
  if (values.empty()) return;
  double sum = 0, squares = 0;
  for (const auto value : values) sum += value;
  row.mean = sum / static_cast<double>(values.size());
  if (values.size() < 2) return;
  for (const auto value : values) squares += (value - *row.mean) * (value - *row.mean);
  row.sd = std::sqrt(squares / static_cast<double>(values.size() - 1));
}

std::string states_of(const std::map<State, int>& counts) {
  if (counts.size() == 1) return name(counts.begin()->first);
  std::vector<std::string> parts;
  for (const auto& [state, count] : counts) parts.push_back(fmt::format("{} {}", count, name(state)));
  return join(parts);
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

std::string without_bars(std::string text) {
  for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) text.insert(at, "\\");
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::vector<Row> rows_of(const Plan& plan, const std::vector<Standing>& standings, const SweepOptions& options) {
  std::map<std::size_t, Row> by_setting;
  for (std::size_t i = 0; i < plan.points().size(); ++i) {
    auto& row = by_setting[plan.points()[i].setting];
    row.setting = plan.points()[i].setting;
    row.points.push_back(i);
  }
  std::vector<std::pair<Row, bool>> all;  // with whether a repeat diverged
  for (auto& [setting, row] : by_setting) {
    std::map<State, int> counts;
    std::vector<double> values;
    for (const auto point : row.points) {
      const auto& standing = standings[point];
      ++counts[standing.state];
      row.seconds += standing.seconds;
      row.rungs = std::max(row.rungs, standing.rungs.size());
      if (!standing.value || (standing.state != State::kFinished && standing.state != State::kStopped)) continue;
      values.push_back(*standing.value);
      row.step = row.step == 0 ? standing.step : std::min(row.step, standing.step);
    }
    measure(row, values);
    row.state = states_of(counts);
    all.emplace_back(std::move(row), counts.contains(State::kDiverged));
  }
  const auto place = [&](const std::pair<Row, bool>& entry) {
    const auto& row = entry.first;
    const auto value = row.mean ? (options.goal == Goal::kMin ? *row.mean : -*row.mean) : 0;
    return std::tuple(!row.mean, row.mean ? -static_cast<std::int64_t>(row.rungs) : 0, row.mean && entry.second, value);
  };
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  std::vector<Row> rows;
  for (auto& [row, diverged] : all) {
    if (row.mean) row.rank = static_cast<int>(rows.size()) + 1;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string cell_of(const Setting& setting, const std::string& key) {
  const auto* node = value_at(setting, key);
  return node ? short_value(*node) : "";
}

std::string to_csv(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options) {
  std::string out = "rank," + quoted(options.metric) + ",sd,runs,state,step,seconds";
  for (const auto& key : plan.keys()) out += "," + quoted(key);
  out += ",points\n";
  for (const auto& row : rows) {
    out += fmt::format("{},{},{},{},{},{},{:.1f}", row.rank ? std::to_string(row.rank) : "", row.mean ? fmt::format("{}", *row.mean) : "",
                       row.sd ? fmt::format("{}", *row.sd) : "", row.points.size(), quoted(row.state), row.mean ? std::to_string(row.step) : "", row.seconds);
    const auto& setting = plan.settings()[row.setting];
    for (const auto& key : plan.keys()) {
      const auto* node = value_at(setting, key);
      out += "," + quoted(!node ? "" : node->is_scalar() ? node->text : to_flow(*node));
    }
    std::vector<std::string> ids;
    for (const auto point : row.points) ids.push_back(plan.points()[point].id);
    out += "," + join(ids, " ") + "\n";
  }
  return out;
}

std::string to_markdown(const Plan& plan, const std::vector<Row>& rows, const SweepOptions& options) {
  const auto keys = plan.keys();
  std::string out = "| rank | " + without_bars(options.metric) + " |", line = "|---:|---:|";
  for (const auto& key : keys) {
    out += " " + without_bars(short_key(key, keys)) + " |";
    line += "---|";
  }
  out += " state | time |\n" + line + "---|---:|\n";
  for (const auto& row : rows) {
    auto metric = row.mean ? fmt::format("{:.4f}", *row.mean) : "";
    if (row.sd) metric += fmt::format(" ± {:.4f}", *row.sd);
    out += fmt::format("| {} | {} |", row.rank ? std::to_string(row.rank) : "", metric);
    for (const auto& key : keys) out += " " + without_bars(cell_of(plan.settings()[row.setting], key)) + " |";
    out += fmt::format(" {} | {} |\n", row.state, row.seconds > 0 ? human_time(row.seconds) : "");
  }
  return out;
}

}  // namespace herd::sweep
