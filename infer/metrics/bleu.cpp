#include "infer/metrics/bleu.h"

#include <algorithm>
#include <cmath>

#include "infer/metrics/ngram_bag.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

double brevity_penalty(const BleuStats& stats) {
  if (stats.answer_tokens >= stats.reference_tokens) return 1;
  if (stats.answer_tokens == 0) return 0;
  return std::exp(1 - static_cast<double>(stats.reference_tokens) / static_cast<double>(stats.answer_tokens));
}

}  // namespace

BleuStats& BleuStats::operator+=(const BleuStats& other) {
  answer_tokens += other.answer_tokens;
  reference_tokens += other.reference_tokens;
  for (std::size_t i = 0; i < kBleuOrder; ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
  }
  return *this;
}

BleuStats bleu_stats(std::string_view answer, std::span<const std::string> references, BleuTokens tokens) {
  if (references.empty())
    throw DataError(
        {.who = "BLEU", .found = "an answer without a reference", .expected = "one or more", .remedy = "leave such records out"});
  if (tokens == BleuTokens::kByLanguage) tokens = bleu_tokens_for(references[0]);
  const auto found = bleu_tokens(answer, tokens);
  BleuStats stats{.answer_tokens = static_cast<std::int64_t>(found.size())};
  std::array<NgramBag, kBleuOrder> most;
  auto nearest = std::pair{INT64_MAX, std::int64_t{0}};  // distance, length
  for (const auto& reference : references) {
    const auto expected = bleu_tokens(reference, tokens);
    const auto length = static_cast<std::int64_t>(expected.size());
    nearest = std::min(nearest, {std::abs(stats.answer_tokens - length), length});
    for (std::size_t i = 0; i < kBleuOrder; ++i) {
      NgramBag bag;
      add_ngrams(bag, expected, i + 1);
      for (const auto& [ngram, count] : bag) most[i][ngram] = std::max(most[i][ngram], count);
    }
  }
  stats.reference_tokens = nearest.second;
  for (std::size_t i = 0; i < kBleuOrder; ++i) {
    NgramBag bag;
    stats.totals[i] = add_ngrams(bag, found, i + 1);
    stats.matches[i] = clipped_matches(bag, most[i]);
  }
  return stats;
}

BleuScore bleu(const BleuStats& stats, BleuMean mean) {
  BleuScore out{.brevity_penalty = brevity_penalty(stats)};
  if (std::all_of(stats.matches.begin(), stats.matches.end(), [](auto count) { return count == 0; })) return out;
  double logs = 0, halved = 1;
  std::size_t orders = 0;
  for (; orders < kBleuOrder && stats.totals[orders] > 0; ++orders) {
    const auto matches = static_cast<double>(stats.matches[orders]), total = static_cast<double>(stats.totals[orders]);
    if (matches == 0) halved *= 2;
    const auto precision = out.precisions[orders] = matches > 0 ? 100 * matches / total : 100 / (halved * total);
    logs += std::log(precision);
  }
  if (mean == BleuMean::kFour && orders < kBleuOrder) return out;  // a precision of 0: the geometric mean is 0
  out.score = out.brevity_penalty * std::exp(logs / static_cast<double>(orders));
  return out;
}

}  // namespace herd
