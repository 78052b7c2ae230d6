#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "infer/evaluate/outcome.h"
#include "infer/metrics/bootstrap.h"

namespace herd {

/// What a metric comes to over records.
struct MetricValue {
  std::string metric;
  std::string category;   ///< `all`, `macro` (the mean of the categories), or one of them
  std::int64_t records = 0;
  double value = 0;
  std::optional<Interval> interval;  ///< over records (bootstrap.h); none of a single one, nor of what is no mean or ratio over them

  bool operator==(const MetricValue& other) const { return metric == other.metric && category == other.category && records == other.records && value == other.value; }
};

/// Results of all records, then by category where there are several, metric by metric. Means of scores; `f1_macro` and `f1_micro` of what was chosen, over what should have been; `bleu_4` of a corpus, `distinct_1` and `distinct_2` of
/// what the model wrote; of texts, with L = Σ log p: `perplexity` exp(−L / tokens), `word_perplexity` exp(−L / words), `byte_perplexity` exp(−L / bytes),
/// `bits_per_byte` −L / (bytes · ln 2), as lm-evaluation-harness has the last three.
std::vector<MetricValue> values_of(const EvaluationTask& task, std::span<const Outcome> outcomes);

/// Whether less of it is better.
bool lower_is_better(const std::string& metric);

}  // namespace herd
