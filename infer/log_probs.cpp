#include "infer/log_probs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/base/error.h"

namespace herd {

// One pass also finds what is no number.
std::size_t argmax(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      throw DataError({.who = fmt::format("logit of token {}", i),
                       .found = "NaN",
                       .expected = "a number",
                       .remedy = "the model's weights or its number format are broken"});
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || std::isinf(logits[best])) {
    const bool banned = !logits.empty() && logits[best] < 0;
    throw DataError({.who = "logits",
                     .found = logits.empty() ? "none" : fmt::format("a greatest one of {}", logits[best]),
                     .expected = "a finite number",
                     .remedy = banned ? "every token is banned: ask less of no-repeat-ngram, bad-word, logit-bias or min-new-tokens" : ""});
  }
  return best;
}

std::vector<TokenId> greatest(std::span<const float> logits, std::size_t count) {
  argmax(logits);
  std::vector<TokenId> ids(count == 0 ? 0 : logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(count, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), [&](TokenId a, TokenId b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
  ids.erase(end, ids.end());
  return ids;
}

void log_softmax(std::span<float> logits) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const auto l : logits) sum += std::exp(l - most);
  const double log_sum = most + std::log(sum);
  for (auto& l : logits) l = static_cast<float>(l - log_sum);
}

LogProbs log_probs(std::span<const float> logits, TokenId chosen, std::size_t top) {
  const auto logit = [&](TokenId id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const auto l : logits) sum += std::exp(l - most);
  const auto of = [&, log_sum = std::log(sum)](TokenId id) { return TokenLogProb{id, logit(id) - most - log_sum}; };

  LogProbs out{.chosen = of(chosen), .top = {}};
  for (const auto id : greatest(logits, top)) out.top.push_back(of(id));
  return out;
}

}  // namespace herd
