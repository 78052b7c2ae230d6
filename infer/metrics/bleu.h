#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "infer/metrics/bleu_tokens.h"

namespace herd {

inline constexpr std::size_t kBleuOrder = 4;
using BleuCounts = std::array<std::int64_t, kBleuOrder>;

/// All that BLEU needs of an answer. Counts of several add up to those of a corpus, in any order.
struct BleuStats {
  std::int64_t answer_tokens = 0, reference_tokens = 0;
  BleuCounts matches{}, totals{};  ///< n-grams of the answer, n from 1 to 4: those met in a reference, and all

  BleuStats& operator+=(const BleuStats& other);
  bool operator==(const BleuStats&) const = default;
};

/// Of several references an n-gram may be met as often as it stands in the one that has it most, and the length is that nearest the
/// answer's, of two as near the shorter. @param tokens kByLanguage: by the first reference's. @throws DataError without a reference.
BleuStats bleu_stats(std::string_view answer, std::span<const std::string> references, BleuTokens tokens = BleuTokens::kByLanguage);

/// Over which n-grams the mean goes.
enum class BleuMean {
  kFour,       ///< 1 to 4: of a corpus
  kEffective,  ///< those that the answer is long enough to have: of a sentence
};

struct BleuScore {
  double score = 0;  ///< from 0 to 100
  std::array<double, kBleuOrder> precisions{};
  double brevity_penalty = 1;
};

/// BLEU (Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"):
/// min(1, exp(1 − r/c)) · exp(mean of log p_n), p_n = 100 · matches / totals. The k-th p_n without a match is
/// 100 / (2^k · totals) (`exp`: method 3 of Chen & Cherry 2014); without any match at all the score
/// is 0. Equal to `sacrebleu`'s corpus score, and with kEffective to its sentence score.
BleuScore bleu(const BleuStats& stats, BleuMean mean);

}  // namespace herd
