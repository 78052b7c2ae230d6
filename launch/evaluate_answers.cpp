#include "launch/evaluate_answers.h"

#include <utility>

#include "data/template/render.h"
#include "runtime/base/error.h"

namespace herd {

Answers::Answers(Speaker& speaker, const EvaluationTask& task, std::optional<std::size_t> adapter, const EngineOptions& engine, GenerationOptions generation)
    : speaker_(speaker), task_(task), adapter_(adapter), options_(engine), generation_(std::move(generation)), engine_(speaker.engine(engine)) {}

std::optional<DataError> Answers::take(const EvaluationItem& item) {
  Request request{.prompt = item.prompt ? speaker_.prompt(*item.prompt, adapter_) : speaker_.prompt(item.record, adapter_), .options = generation_, .adapter = adapter_};
  request.prompt.name = item.name;
  request.prompt.number = requests_.size();
  const auto tokens = std::ssize(request.prompt.ids);
  try {
    engine_->check(request);
  } catch (const DataError& error) {
    if (tokens < speaker_.model().facts.max_positions) throw;
    return error;
  }
  requests_.push_back(std::move(request));
  tokens_.push_back(tokens);
  return std::nullopt;
}

Signal Answers::write(KeptAnswers& kept) {
  return kept.answer(*engine_, options_.batch_size, tokens_, [&](std::size_t number) { return std::move(requests_[number]); }, {});
}

std::vector<Outcome> Answers::outcomes(std::span<const EvaluationItem> items, const KeptAnswers& kept) {
  auto answers = kept.read();
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto answer = answers.find(i);
    if (answer == answers.end())
      throw IoError({.who = kept.folder().root().string(), .found = "no answer to " + items[i].name, .expected = "one to each", .remedy = "the same command asks for it"});
    outcomes.push_back(outcome_of(items[i]));
    outcomes.back().asked = asked(items[i]);
    mark_answer(outcomes.back(), task_, items[i], std::move(answer->second.text));
  }
  return outcomes;
}

/// What was put to the model, as the seeds' files have it before the answer.
std::string Answers::asked(const EvaluationItem& item) {
  return item.prompt ? *item.prompt : text_of(render_prompt(speaker_.template_of(adapter_), item.record), "", "");
}

}  // namespace herd
