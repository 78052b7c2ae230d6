#include "infer/evaluate/outcome.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/template/jinja/text.h"
#include "infer/evaluate/number.h"
#include "infer/metrics/answers.h"
#include "infer/metrics/numbers.h"
#include "infer/metrics/rouge.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Json = nlohmann::ordered_json;

// All numbers of an outcome are finite but log-likelihoods: of a text that cannot be.
constexpr double kImpossible = -std::numeric_limits<double>::infinity();

/// Whether the answer is right; and what it is, where that is one of few.
bool mark(Outcome& outcome, const EvaluationTask& task, const EvaluationItem& item) {
  const auto refuse = [&](const char* expected) { throw DataError({.who = item.name, .found = "the right answer '" + item.reference + "'", .expected = expected, .remedy = "is the task the one for this file?"}); };
  switch (task.answer) {
    case EvaluationTask::Answer::kNumber:
      if (!number_in(item.reference)) refuse("one with a number");
      return number_match(outcome.answer, item.reference);
    case EvaluationTask::Answer::kLetters:
      outcome.right = choice_letters(item.reference, static_cast<int>(task.letters));
      if (outcome.right.empty()) refuse("letters");
      outcome.chosen = choice_letters(outcome.answer, static_cast<int>(task.letters));
      break;
    default: {
      const auto words = answer_format(item.record.turns.empty() ? item.question : item.record.turns.front().text);
      if (std::ranges::find(words, item.reference) == words.end()) refuse("a word of the instruction's line `Answer format: …`");
      outcome.right = item.reference;
      outcome.chosen = answer_word(outcome.answer, words);
    }
  }
  return outcome.chosen == outcome.right;
}

std::map<std::string, double> scores_of(const Json& json) {
  std::map<std::string, double> scores;
  for (const auto& [metric, score] : json.items()) scores[metric] = number_or(score, kImpossible);
  return scores;
}

}  // namespace

std::string Outcome::line() const {
  const Json json{{"name", name}, {"category", category}, {"question", question}, {"options", options}, {"reference", reference}, {"asked", asked}, {"answer", answer},
                  {"chosen", chosen}, {"right", right}, {"log_likelihoods", log_likelihoods}, {"scores", scores}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Outcome Outcome::of_line(std::string_view line, const std::string& place) {
  try {
    const auto json = Json::parse(line);
    std::vector<double> log_likelihoods;
    for (const auto& value : json.at("log_likelihoods")) log_likelihoods.push_back(number_or(value, kImpossible));
    return {.name = json.at("name"), .category = json.at("category"), .question = json.at("question"), .options = json.at("options"), .reference = json.at("reference"),
            .asked = json.at("asked"), .answer = json.at("answer"), .chosen = json.value("chosen", ""), .right = json.value("right", ""), .log_likelihoods = std::move(log_likelihoods), .scores = scores_of(json.at("scores"))};
  } catch (const Json::exception&) {
    throw DataError({.who = place, .found = "no line that herd evaluate writes", .expected = "an answer with its scores", .remedy = "evaluate again"});
  }
}

Outcome outcome_of(const EvaluationItem& item) {
  return {.name = item.name, .category = item.category, .question = item.question, .options = item.options, .reference = item.reference};
}

void mark_choice(Outcome& outcome, const EvaluationItem& item, std::vector<double> log_likelihoods, const std::vector<double>& alone) {
  const auto best_by = [&](auto measure) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < log_likelihoods.size(); ++i)
      if (measure(i) > measure(best)) best = i;
    return best;
  };
  const auto best = best_by([&](std::size_t i) { return log_likelihoods[i]; });
  const auto right = [&](std::size_t chosen) { return chosen == item.right ? 1.0 : 0.0; };
  outcome.answer = item.choices[best];
  outcome.chosen = std::to_string(best);
  outcome.right = std::to_string(item.right);
  outcome.scores["acc"] = right(best);
  outcome.scores["acc_norm"] = right(best_by([&](std::size_t i) { return log_likelihoods[i] / static_cast<double>(jinja::count_characters(item.choices[i])); }));
  outcome.scores["acc_bytes"] = right(best_by([&](std::size_t i) { return log_likelihoods[i] / static_cast<double>(item.choices[i].size()); }));
  if (!alone.empty()) outcome.scores["acc_mutual_info"] = right(best_by([&](std::size_t i) { return log_likelihoods[i] - alone[i]; }));
  outcome.log_likelihoods = std::move(log_likelihoods);
}

void mark_answer(Outcome& outcome, const EvaluationTask& task, const EvaluationItem& item, std::string answer) {
  outcome.answer = std::move(answer);
  if (task.answer != EvaluationTask::Answer::kText) {
    outcome.scores["acc"] = mark(outcome, task, item) ? 1 : 0;
    return;
  }
  const bool judged_without = task.judge && std::ranges::find(task.judge->without_reference, item.category) != task.judge->without_reference.end();
  if (item.reference.empty() || judged_without) return;
  outcome.scores["exact_match"] = exact_match(outcome.answer, std::vector{item.reference}) ? 1 : 0;
  outcome.scores["rouge_l"] = rouge(item.reference, outcome.answer).rouge_l.f;
}

void check_reference(const EvaluationTask& task, const EvaluationItem& item) {
  Outcome outcome;
  mark_answer(outcome, task, item, "");
}

}  // namespace herd
