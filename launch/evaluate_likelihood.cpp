#include "launch/evaluate_likelihood.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "infer/evaluate/continuation.h"
#include "infer/scorer.h"
#include "launch/predict_watch.h"
#include "parallel/comm/agree.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

/// Texts that are asked for, each with the record that it is of.
class Asked {
 public:
  explicit Asked(const CausalLm& model) : context_(model.facts.max_positions) {}

  template <class Make>
  void add(const EvaluationItem& item, Make make) {
    try {
      auto text = make();
      if (std::ssize(text.ids) > context_ + 1)
        throw DataError({.who = item.name, .found = fmt::format("{} tokens", text.ids.size() - 1), .expected = fmt::format("at most {}, the model's context", context_), .remedy = "leave it out, or give fewer --shots"});
      texts_.push_back(std::move(text));
    } catch (const DataError& error) {
      auto complaint = error.complaint();
      if (complaint.who != item.name) complaint.who = item.name + ": " + complaint.who;
      throw DataError(complaint);
    }
  }

  /// Σ log p of each.
  std::vector<double> log_likelihoods(CausalLm& model, std::int64_t batch_size, Communicator& communicator) const {
    std::vector<std::size_t> lengths;
    for (const auto& text : texts_) lengths.push_back(text.ids.size());
    const auto batches = batches_by_length(lengths, batch_size);
    PredictWatch watch(0, std::ssize(texts_), communicator.rank() == 0);
    const auto mine = agree(communicator, [&] {
      std::vector<std::pair<std::size_t, double>> found;
      std::int64_t tokens = 0;
      for (auto at = static_cast<std::size_t>(communicator.rank()); at < batches.size(); at += static_cast<std::size_t>(communicator.size())) {
        std::vector<std::vector<TokenId>> batch;
        for (const auto i : batches[at]) batch.push_back(texts_[i].ids), tokens += std::ssize(texts_[i].ids);
        const auto scores = score(model, batch, 0, batch_size);
        for (std::size_t i = 0; i < scores.size(); ++i) found.emplace_back(batches[at][i], texts_[batches[at][i]].log_likelihood(scores[i]));
        watch(std::ssize(found) * communicator.size(), tokens * communicator.size());  // the others are about as far
      }
      return nlohmann::json(found).dump();
    });
    std::vector<double> all(texts_.size());
    for (const auto& part : all_gather_string(communicator, mine))
      for (const auto& [i, value] : nlohmann::json::parse(part).get<std::vector<std::pair<std::size_t, double>>>()) all[i] = value;
    return all;
  }

  const std::vector<Continuation>& texts() const { return texts_; }

 private:
  std::int64_t context_;
  std::vector<Continuation> texts_;
};

}  // namespace

std::vector<Outcome> measure_texts(Speaker& speaker, const EvaluateOptions& o, const std::vector<EvaluationItem>& items, Communicator& communicator) {
  Asked asked(speaker.model());
  std::vector<std::size_t> of;
  agree(communicator, [&] {
    const auto whole = speaker.model().facts.max_positions;
    const auto context = o.context > 0 ? o.context : whole;
    if (context > whole) throw ConfigError({.who = "--context", .found = std::to_string(context), .expected = fmt::format("at most {}, the model's", whole), .remedy = ""});
    for (std::size_t i = 0; i < items.size(); ++i)
      for (auto& window : text_windows(speaker.tokenizer(), *items[i].prompt, context, o.stride > 0 ? o.stride : context)) {
        asked.add(items[i], [&] { return std::move(window); });
        of.push_back(i);
      }
  });
  const auto found = asked.log_likelihoods(speaker.model(), o.engine.batch_size, communicator);
  std::vector<Outcome> outcomes;
  for (const auto& item : items) {
    outcomes.push_back(outcome_of(item));
    outcomes.back().question.clear();  // it is the text
    outcomes.back().scores = {{"log_likelihood", 0}, {"tokens", 0}, {"words", word_count(*item.prompt)}, {"bytes", item.prompt->size()}};
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto& scores = outcomes[of[i]].scores;
    scores["log_likelihood"] += found[i];
    scores["tokens"] += static_cast<double>(asked.texts()[i].asked());
  }
  return outcomes;
}

std::vector<Outcome> measure_choices(Speaker& speaker, const EvaluateOptions& o, const std::vector<EvaluationItem>& items, std::optional<std::size_t> adapter,
                                     const std::string& delimiter, Communicator& communicator) {
  Asked asked(speaker.model());
  bool alone = o.alone;
  agree(communicator, [&] {
    for (const auto& item : items)
      for (const auto& choice : item.choices) {
        asked.add(item, [&] {
          if (item.prompt) return text_continuation(speaker.tokenizer(), *item.prompt, delimiter + choice);
          auto record = item.record;
          record.turns.back().text = choice;
          return answer_continuation(speaker.encoder(), speaker.template_of(adapter), record);
        });
        alone = alone && item.prompt;
      }
    if (alone)
      for (const auto& item : items)
        for (const auto& choice : item.choices) asked.add(item, [&] { return text_continuation(speaker.tokenizer(), "", delimiter + choice); });
  });
  const auto found = asked.log_likelihoods(speaker.model(), o.engine.batch_size, communicator);
  const auto half = static_cast<std::ptrdiff_t>(alone ? found.size() / 2 : found.size());
  std::vector<Outcome> outcomes;
  auto at = found.begin();
  for (const auto& item : items) {
    const auto end = at + std::ssize(item.choices);
    outcomes.push_back(outcome_of(item));
    mark_choice(outcomes.back(), item, {at, end}, alone ? std::vector(at + half, end + half) : std::vector<double>());
    at = end;
  }
  return outcomes;
}

}  // namespace herd
