#include "launch/evaluate_likelihood.h"

#include <fmt/format.h>

#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "infer/evaluate/number.h"
#include "infer/scorer.h"
#include "launch/predict_watch.h"
#include "parallel/comm/agree.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

/// @param log_likelihoods of the item's windows, each with its text.
Outcome text_outcome(const EvaluationItem& item, std::span<const Continuation> windows, std::span<const double> log_likelihoods) {
  auto outcome = outcome_of(item);
  outcome.question.clear();  // it is the text
  double sum = 0;
  std::size_t tokens = 0;
  for (const auto value : log_likelihoods) sum += value;
  for (const auto& window : windows) tokens += window.asked();
  outcome.scores = {{"log_likelihood", sum}, {"tokens", tokens}, {"words", word_count(*item.prompt)}, {"bytes", item.prompt->size()}};
  return outcome;
}

}  // namespace

Likelihoods::Likelihoods(Speaker& speaker, const EvaluationTask& task, std::optional<std::size_t> adapter, const EvaluateOptions& options)
    : speaker_(speaker), task_(task), adapter_(adapter), options_(options), context_(speaker.model().facts.max_positions),
      window_(options.context > 0 ? options.context : context_), alone_(options.alone && task.kind == EvaluationTask::Kind::kChoice && !task.through_template()) {
  if (window_ > context_) throw ConfigError({.who = "--context", .found = std::to_string(window_), .expected = fmt::format("at most {}, the model's", context_), .remedy = ""});
}

std::optional<DataError> Likelihoods::take(const EvaluationItem& item) {
  std::vector<Continuation> texts;
  try {
    texts = task_.kind == EvaluationTask::Kind::kPerplexity ? windows_of(item) : choices_of(item);
  } catch (const DataError& error) {
    auto complaint = error.complaint();
    complaint.who = item.name + ": " + complaint.who;
    throw DataError(complaint);
  }
  for (const auto& text : texts)
    if (std::ssize(text.ids) > context_ + 1)
      return DataError({.who = item.name, .found = fmt::format("{} tokens", text.ids.size() - 1), .expected = fmt::format("at most {}, the model's context", context_), .remedy = "--skip-too-long, or fewer --shots"});
  std::ranges::move(texts, std::back_inserter(texts_));
  ends_.push_back(texts_.size());
  return std::nullopt;
}

std::vector<Continuation> Likelihoods::windows_of(const EvaluationItem& item) const {
  auto windows = text_windows(speaker_.tokenizer(), *item.prompt, window_, options_.stride > 0 ? options_.stride : window_);
  if (windows.empty()) throw DataError({.who = "its text", .found = "no token", .expected = "one or more", .remedy = "leave it out"});
  return windows;
}

std::vector<Continuation> Likelihoods::choices_of(const EvaluationItem& item) const {
  std::vector<Continuation> texts;
  for (const auto& choice : item.choices) {
    if (item.prompt) {
      texts.push_back(text_continuation(speaker_.tokenizer(), *item.prompt, task_.delimiter + choice));
      continue;
    }
    auto record = item.record;
    record.turns.back().text = choice;
    texts.push_back(answer_continuation(speaker_.encoder(), speaker_.template_of(adapter_), record));
  }
  if (alone_)
    for (const auto& choice : item.choices) texts.push_back(text_continuation(speaker_.tokenizer(), "", task_.delimiter + choice));
  return texts;
}

std::vector<Outcome> Likelihoods::outcomes(std::span<const EvaluationItem> items, Communicator& communicator) {
  const auto found = measure(communicator);
  const std::span<const double> values(found);
  const std::span<const Continuation> texts(texts_);
  std::vector<Outcome> outcomes;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < items.size(); begin = ends_[i++]) {
    const auto own = values.subspan(begin, ends_[i] - begin);
    if (task_.kind == EvaluationTask::Kind::kPerplexity) {
      outcomes.push_back(text_outcome(items[i], texts.subspan(begin, own.size()), own));
      continue;
    }
    const auto behind = own.first(items[i].choices.size()), alone = own.subspan(behind.size());
    outcomes.push_back(outcome_of(items[i]));
    mark_choice(outcomes.back(), items[i], {behind.begin(), behind.end()}, {alone.begin(), alone.end()});
  }
  return outcomes;
}

/// Σ log p of each text.
std::vector<double> Likelihoods::measure(Communicator& communicator) const {
  std::vector<std::size_t> lengths;
  for (const auto& text : texts_) lengths.push_back(text.ids.size());
  const auto batch_size = options_.engine.batch_size;
  const auto batches = batches_by_length(lengths, batch_size);
  PredictWatch watch(0, std::ssize(texts_), communicator.rank() == 0);
  const auto mine = agree(communicator, [&] {
    std::vector<std::pair<std::size_t, double>> found;
    std::int64_t tokens = 0;
    for (auto at = static_cast<std::size_t>(communicator.rank()); at < batches.size(); at += static_cast<std::size_t>(communicator.size())) {
      std::vector<std::vector<TokenId>> batch;
      for (const auto i : batches[at]) batch.push_back(texts_[i].ids), tokens += std::ssize(texts_[i].ids);
      const auto scores = score(speaker_.model(), batch, 0, batch_size);
      for (std::size_t i = 0; i < scores.size(); ++i) found.emplace_back(batches[at][i], texts_[batches[at][i]].log_likelihood(scores[i]));
      watch(std::ssize(found) * communicator.size(), tokens * communicator.size());  // the others are about as far
    }
    return nlohmann::json(found).dump();
  });
  std::vector<double> all(texts_.size());
  for (const auto& part : all_gather_string(communicator, mine))
    for (const auto& pair : nlohmann::json::parse(part)) all[pair[0].get<std::size_t>()] = number_or(pair[1], -std::numeric_limits<double>::infinity());
  return all;
}

}  // namespace herd
