#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "infer/evaluate/values.h"

namespace herd {

/// What an evaluation came to, and of whom: results.json.
struct EvaluationResults {
  std::vector<std::pair<std::string, std::string>> about;  ///< model, adapter, template, task, data, their fingerprints, settings; in this order
  std::vector<MetricValue> values;

  std::string of(const std::string& what) const;  ///< of `about`; "" for what is not there
  void set(const std::string& what, std::string value);
};

/// Where an evaluation's folder has what.
inline std::filesystem::path results_file(const std::filesystem::path& folder) { return folder / "results.json"; }
inline std::filesystem::path outcomes_file(const std::filesystem::path& folder) { return folder / "answers.jsonl"; }

/// Makes the folder and sees that a file can be written there: before there is something to lose. @throws IoError
void open_evaluation(const std::filesystem::path& folder);
/// results.json, results.csv, answers.jsonl, and of what a model wrote answers.json, as Alpaca-CoT's scripts write and read it: [{C, Q, A, P, O}], category,
/// question, reference answer, prompt with answer, and options where there are any. @throws IoError
void write_evaluation(const std::filesystem::path& folder, const EvaluationResults& results, const std::vector<Outcome>& outcomes);
/// A number that is null is infinite. @throws IoError, DataError where the folder has none, or broken ones.
EvaluationResults read_results(const std::filesystem::path& folder);
std::vector<Outcome> read_outcomes(const std::filesystem::path& folder);

/// For a terminal: metric, category, value, interval, records.
std::string results_table(const EvaluationResults& results);
/// A header and a row a value: run, model, adapter, template, task, metric, category, records, value, low, high. @param run the folder's name.
std::string results_csv(const std::string& run, const EvaluationResults& results);
/// A cell of comma-separated values (RFC 4180).
std::string csv_cell(const std::string& text);
/// `0.4371`, `18.82`, `1.23e+04`: four digits that count.
std::string short_number(double value);

}  // namespace herd
