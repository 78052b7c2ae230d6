#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "infer/metrics/tokens.h"

namespace herd {

/// How much of the answer is in the reference (precision), how much of the reference in the answer (recall), and 2·p·r / (p + r).
/// All 0 where nothing is shared.
struct Overlap {
  double precision = 0, recall = 0, f = 0;
};

struct RougeScores {
  Overlap rouge_1, rouge_2;  ///< of shared n-grams, each counted as often as it stands in both
  Overlap rouge_l;           ///< of the longest common subsequence of tokens
};

/// ROUGE (Lin 2004, "ROUGE: a package for automatic evaluation of summaries", sections 2 and 3) of one answer, from 0 to 1. With kWords
/// equal to the Python package `rouge_score` without a stemmer, text for text. @param tokens kByLanguage: by the reference's.
RougeScores rouge(std::string_view reference, std::string_view answer, TextTokens tokens = TextTokens::kByLanguage);

/// ROUGE-L of two texts whose tokens are numbers.
Overlap rouge_l(std::span<const std::int32_t> reference, std::span<const std::int32_t> answer);

}  // namespace herd
