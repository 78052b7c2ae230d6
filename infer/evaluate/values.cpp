#include "infer/evaluate/values.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "infer/metrics/bleu.h"
#include "infer/metrics/distinct.h"
#include "infer/metrics/scores.h"

namespace herd {
namespace {

using Chosen = std::vector<const Outcome*>;

std::vector<double> scores_of(const Chosen& outcomes, const std::string& metric) {
  std::vector<double> scores;
  for (const auto* outcome : outcomes)
    if (const auto found = outcome->scores.find(metric); found != outcome->scores.end()) scores.push_back(found->second);
  return scores;
}

/// One record says nothing of how far others lie apart.
std::optional<Interval> of_several(std::size_t records, const Interval& interval) { return records > 1 ? std::optional(interval) : std::nullopt; }

/// Nats, or what follows from them, for each unit of a text.
MetricValue perplexity(const Chosen& outcomes, const std::string& metric, const std::string& unit, double (*of)(double nats)) {
  auto nats = scores_of(outcomes, "log_likelihood");
  for (auto& value : nats) value = -value;
  auto interval = bootstrap_ratio(nats, scores_of(outcomes, unit));
  interval = {of(interval.mean), of(interval.low), of(interval.high)};
  return {.metric = metric, .records = std::ssize(nats), .value = interval.mean, .interval = of_several(nats.size(), interval)};
}

void add_perplexities(std::vector<MetricValue>& out, const Chosen& outcomes) {
  const auto exp = [](double nats) { return std::exp(nats); };
  out.push_back(perplexity(outcomes, "perplexity", "tokens", exp));
  out.push_back(perplexity(outcomes, "word_perplexity", "words", exp));
  out.push_back(perplexity(outcomes, "byte_perplexity", "bytes", exp));
  out.push_back(perplexity(outcomes, "bits_per_byte", "bytes", [](double nats) { return nats / std::numbers::ln2; }));
}

void add_means(std::vector<MetricValue>& out, const Chosen& outcomes) {
  for (const auto* metric : {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "rouge_l", "judge"}) {
    const auto scores = scores_of(outcomes, metric);
    if (scores.empty()) continue;
    const auto interval = bootstrap_mean(scores);
    out.push_back({.metric = metric, .records = std::ssize(scores), .value = interval.mean, .interval = of_several(scores.size(), interval)});
  }
}

void add_f1(std::vector<MetricValue>& out, const Chosen& outcomes) {
  std::vector<std::string> answers, references;
  for (const auto* outcome : outcomes) {
    if (outcome->right.empty()) continue;
    answers.push_back(outcome->chosen);
    references.push_back(outcome->right);
  }
  if (references.empty()) return;
  const std::set<std::string> labels(references.begin(), references.end());
  const auto f1 = f1_scores(confusion(references, answers), std::vector(labels.begin(), labels.end()));
  out.push_back({.metric = "f1_macro", .records = std::ssize(references), .value = f1.macro});
  out.push_back({.metric = "f1_micro", .records = std::ssize(references), .value = f1.micro});
}

void add_corpus_metrics(std::vector<MetricValue>& out, const Chosen& outcomes) {
  BleuStats stats;
  std::int64_t with_reference = 0;
  for (const auto* outcome : outcomes) {
    if (!outcome->scores.contains("rouge_l")) continue;  // nothing to compare with
    stats += bleu_stats(outcome->answer, std::vector{outcome->reference});
    ++with_reference;
  }
  if (with_reference) out.push_back({.metric = "bleu_4", .records = with_reference, .value = bleu(stats, BleuMean::kFour).score});
  for (const std::size_t n : {1, 2}) {
    Distinct distinct(n);
    for (const auto* outcome : outcomes) distinct.add(outcome->answer);
    out.push_back({.metric = "distinct_" + std::to_string(n), .records = std::ssize(outcomes), .value = distinct.value()});
  }
}

std::vector<MetricValue> values_of(const EvaluationTask& task, const Chosen& outcomes, const std::string& category) {
  std::vector<MetricValue> out;
  if (task.kind == EvaluationTask::Kind::kPerplexity) add_perplexities(out, outcomes);
  else add_means(out, outcomes), add_f1(out, outcomes);
  if (task.kind == EvaluationTask::Kind::kAnswer && task.answer == EvaluationTask::Answer::kText) add_corpus_metrics(out, outcomes);
  for (auto& value : out) value.category = category;
  return out;
}

}  // namespace

std::vector<MetricValue> values_of(const EvaluationTask& task, std::span<const Outcome> outcomes) {
  Chosen all;
  std::vector<std::pair<std::string, Chosen>> categories;
  for (const auto& outcome : outcomes) {
    all.push_back(&outcome);
    auto place = std::ranges::find(categories, outcome.category, &std::pair<std::string, Chosen>::first);
    if (place == categories.end()) place = categories.insert(place, {outcome.category, {}});
    place->second.push_back(&outcome);
  }
  auto out = values_of(task, all, "all");
  if (categories.size() < 2) return out;
  std::vector<MetricValue> by_category;
  for (const auto& [category, chosen] : categories) {
    const auto some = values_of(task, chosen, category);
    by_category.insert(by_category.end(), some.begin(), some.end());
  }
  for (auto i = out.size(); i-- > 0;) {
    MetricValue macro{.metric = out[i].metric, .category = "macro"};
    for (const auto& value : by_category)
      if (value.metric == macro.metric) macro.value += value.value, ++macro.records;
    macro.value /= static_cast<double>(macro.records);
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(i) + 1, macro);
  }
  out.insert(out.end(), by_category.begin(), by_category.end());
  return out;
}

bool lower_is_better(const std::string& metric) { return metric.ends_with("perplexity") || metric == "bits_per_byte"; }

}  // namespace herd
