#include "infer/evaluate/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "infer/evaluate/number.h"
#include "runtime/base/file.h"
#include "runtime/base/temporary.h"
#include "runtime/base/text.h"
#include "runtime/report/text_table.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// Of what can be infinite, such as the perplexity of a text that cannot be.
constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::string text_of(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json json_of(const EvaluationResults& results) {
  Json json{{"about", Json::object()}, {"values", Json::array()}};
  for (const auto& [what, value] : results.about) json["about"][what] = value;
  for (const auto& value : results.values) {
    Json row{{"metric", value.metric}, {"category", value.category}, {"records", value.records}, {"value", value.value}};
    if (value.interval) row["low"] = value.interval->low, row["high"] = value.interval->high;
    json["values"].push_back(row);
  }
  return json;
}

Json answers_of(const std::vector<Outcome>& outcomes) {
  auto answers = Json::array();
  for (const auto& outcome : outcomes) {
    if (outcome.asked.empty()) continue;
    Json answer{{"C", outcome.category}, {"Q", outcome.question}, {"A", outcome.reference}, {"P", outcome.asked + outcome.answer}};
    if (!outcome.options.empty()) answer["O"] = outcome.options;
    answers.push_back(answer);
  }
  return answers;
}

std::vector<std::string> ends_of(const MetricValue& value) {
  if (!value.interval) return {"", ""};
  return {fmt::format("{}", value.interval->low), fmt::format("{}", value.interval->high)};
}

}  // namespace

std::string EvaluationResults::of(const std::string& what) const {
  const auto found = std::ranges::find(about, what, &std::pair<std::string, std::string>::first);
  return found == about.end() ? "" : found->second;
}

void EvaluationResults::set(const std::string& what, std::string value) {
  const auto found = std::ranges::find(about, what, &std::pair<std::string, std::string>::first);
  if (found == about.end()) about.emplace_back(what, std::move(value));
  else found->second = std::move(value);
}

void open_evaluation(const fs::path& folder) {
  make_folder(folder);
  const auto probe = temporary_beside(results_file(folder));
  File(probe, File::Mode::replace).write("{}");
  fs::remove(probe);
}

void write_evaluation(const fs::path& folder, const EvaluationResults& results, const std::vector<Outcome>& outcomes) {
  make_folder(folder);
  std::string lines;
  for (const auto& outcome : outcomes) lines += outcome.line() + "\n";
  write_file_atomically(outcomes_file(folder), lines);
  if (const auto answers = answers_of(outcomes); !answers.empty()) write_file_atomically(folder / "answers.json", text_of(answers, 4));
  const auto name = fs::absolute(folder).lexically_normal();
  write_file_atomically(folder / "results.csv", results_csv((name.has_filename() ? name : name.parent_path()).filename().string(), results));
  write_file_atomically(results_file(folder), text_of(json_of(results), 1));
}

EvaluationResults read_results(const fs::path& folder) {
  const auto file = results_file(folder);
  if (!fs::exists(file)) throw DataError({.who = folder.string(), .found = "no results.json", .expected = "a folder that herd evaluate --output wrote", .remedy = ""});
  try {
    const auto json = Json::parse(read_file(file));
    EvaluationResults results;
    for (const auto& [what, value] : json.at("about").items()) results.about.emplace_back(what, value.get<std::string>());
    for (const auto& row : json.at("values")) {
      MetricValue value{.metric = row.at("metric"), .category = row.at("category"), .records = row.at("records"), .value = number_or(row.at("value"), kInfinite)};
      if (row.contains("low")) value.interval = Interval{value.value, number_or(row.at("low"), kInfinite), number_or(row.at("high"), kInfinite)};
      results.values.push_back(std::move(value));
    }
    return results;
  } catch (const Json::exception&) {
    throw DataError({.who = file.string(), .found = "not what herd evaluate writes", .expected = "its results", .remedy = "evaluate again"});
  }
}

std::vector<Outcome> read_outcomes(const fs::path& folder) {
  const auto file = outcomes_file(folder);
  const auto text = read_file(file);
  std::vector<Outcome> outcomes;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    outcomes.push_back(Outcome::of_line(std::string_view(text).substr(begin, end - begin), fmt::format("{}:{}", file.string(), outcomes.size() + 1)));
    begin = end + 1;
  }
  return outcomes;
}

std::string short_number(double value) { return fmt::format("{:.4g}", value); }

std::string results_table(const EvaluationResults& results) {
  std::vector<std::vector<std::string>> rows{{"metric", "category", "value", "95 %", "records"}};
  for (const auto& value : results.values)
    rows.push_back({value.metric, value.category, short_number(value.value), value.interval ? fmt::format("{} – {}", short_number(value.interval->low), short_number(value.interval->high)) : "", with_thousands(value.records)});
  return text_table(rows, "llrrr");
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::string results_csv(const std::string& run, const EvaluationResults& results) {
  std::string out = "run,model,adapter,template,task,metric,category,records,value,low,high\n";
  for (const auto& value : results.values) {
    std::vector<std::string> cells{run, results.of("model"), results.of("adapter"), results.of("template"), results.of("task"), value.metric, value.category, std::to_string(value.records), fmt::format("{}", value.value)};
    for (auto& end : ends_of(value)) cells.push_back(std::move(end));
    std::ranges::transform(cells, cells.begin(), csv_cell);
    out += join(cells, ",") + "\n";
  }
  return out;
}

}  // namespace herd
