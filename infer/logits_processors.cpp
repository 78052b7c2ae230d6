#include "infer/logits_processors.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "runtime/base/error.h"

namespace herd {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

float& score(std::span<float> scores, TokenId id) { return scores[static_cast<std::size_t>(id)]; }

void check_vocabulary(const char* key, const std::vector<TokenId>& ids, std::int64_t vocab_size) {
  for (const auto id : ids)
    if (id >= vocab_size)
      throw ConfigError({.who = key,
                         .found = fmt::format("id {}", id),
                         .expected = fmt::format("ids below the model's {} tokens", vocab_size),
                         .remedy = ""});
}

// Hugging Face leaves a run alone until the text is as long as the whole of it, although one token less would do.
bool ends_with_all_but_last(std::span<const TokenId> text, std::span<const TokenId> ids) {
  if (ids.size() == 1) return true;
  const auto before = ids.first(ids.size() - 1);
  return text.size() >= ids.size() && std::ranges::equal(before, text.last(before.size()));
}

}  // namespace

LogitsProcessors::LogitsProcessors(const SamplingOptions& options, std::vector<TokenId> ends, std::int64_t vocab_size)
    : options_(options), ends_(std::move(ends)) {
  options_.validate();
  for (const auto& [ids, bias] : options_.logit_bias) {
    check_vocabulary("logit-bias", ids, vocab_size);
    biases_.push_back({ids, static_cast<float>(bias)});
  }
  for (const auto& ids : options_.bad_words) {
    check_vocabulary("bad-word", ids, vocab_size);
    if (ids.size() > 1 || std::ranges::find(ends_, ids[0]) == ends_.end()) bans_.push_back({ids, kBanned});
  }
  // Sums come out as there: a single id's first, then the others' in turn.
  for (auto* biases : {&biases_, &bans_})
    std::ranges::stable_sort(*biases, {}, [](const Bias& b) { return std::tuple(b.ids.back(), b.ids.size() > 1); });
  std::erase_if(ends_, [&](TokenId id) { return id < 0 || id >= vocab_size; });
  const auto longer = [](const Bias& b) { return b.ids.size() > 1; };
  reads_text_ = options_.repetition_penalty != 1 || options_.no_repeat_ngram > 0 || std::ranges::any_of(biases_, longer) ||
                std::ranges::any_of(bans_, longer);
}

void LogitsProcessors::apply(std::span<float> scores, std::span<const TokenId> prompt, std::span<const TokenId> answer) const {
  std::vector<TokenId> text;
  if (reads_text_) {
    text.reserve(prompt.size() + answer.size());
    text.assign(prompt.begin(), prompt.end());
    text.insert(text.end(), answer.begin(), answer.end());
  }
  add(scores, biases_, text);
  if (options_.repetition_penalty != 1) penalise_repetition(scores, text);
  if (options_.frequency_penalty != 0 || options_.presence_penalty != 0) penalise_answer(scores, answer);
  if (options_.no_repeat_ngram > 0) ban_ngrams(scores, text);
  add(scores, bans_, text);
  if (static_cast<std::int64_t>(answer.size()) < options_.min_new_tokens)
    for (const auto id : ends_) score(scores, id) = kBanned;
}

void LogitsProcessors::add(std::span<float> scores, const std::vector<Bias>& biases, std::span<const TokenId> text) {
  for (auto bias = biases.begin(); bias != biases.end();) {
    const auto last = bias->ids.back();
    float sum = 0;
    for (; bias != biases.end() && bias->ids.back() == last; ++bias)
      if (ends_with_all_but_last(text, bias->ids)) sum += bias->bias;
    score(scores, last) += sum;
  }
}

// All are read before any is written: a token that comes twice is penalised once.
void LogitsProcessors::penalise_repetition(std::span<float> scores, std::span<const TokenId> text) const {
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  std::vector<float> penalised;
  penalised.reserve(text.size());
  for (const auto id : text) {
    const auto s = score(scores, id);
    penalised.push_back(s < 0 ? s * penalty : s / penalty);
  }
  for (std::size_t i = 0; i < text.size(); ++i) score(scores, text[i]) = penalised[i];
}

void LogitsProcessors::penalise_answer(std::span<float> scores, std::span<const TokenId> answer) const {
  std::vector<TokenId> ids(answer.begin(), answer.end());
  std::ranges::sort(ids);
  for (auto id = ids.begin(); id != ids.end();) {
    const auto next = std::upper_bound(id, ids.end(), *id);
    score(scores, *id) -= static_cast<float>(options_.frequency_penalty * static_cast<double>(next - id) + options_.presence_penalty);
    id = next;
  }
}

void LogitsProcessors::ban_ngrams(std::span<float> scores, std::span<const TokenId> text) const {
  if (static_cast<std::uint64_t>(options_.no_repeat_ngram) > text.size()) return;
  const auto before = static_cast<std::size_t>(options_.no_repeat_ngram) - 1;
  const auto newest = text.last(before);
  for (std::size_t i = 0; i + before < text.size(); ++i)
    if (std::ranges::equal(newest, text.subspan(i, before))) score(scores, text[i + before]) = kBanned;
}

}  // namespace herd
