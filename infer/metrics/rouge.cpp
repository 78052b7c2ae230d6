#include "infer/metrics/rouge.h"

#include <algorithm>
#include <string>
#include <vector>

#include "infer/metrics/ngram_bag.h"
#include "infer/metrics/numbered_tokens.h"

namespace herd {
namespace {

using Tokens = std::vector<std::string>;

Overlap overlap(std::int64_t shared, std::int64_t answer, std::int64_t reference) {
  if (shared == 0) return {};
  const auto precision = static_cast<double>(shared) / static_cast<double>(answer);
  const auto recall = static_cast<double>(shared) / static_cast<double>(reference);
  return {precision, recall, 2 * precision * recall / (precision + recall)};
}

Overlap of_ngrams(const Tokens& reference, const Tokens& answer, std::size_t n) {
  NgramBag in_reference, in_answer;
  const auto references = add_ngrams(in_reference, reference, n), answers = add_ngrams(in_answer, answer, n);
  return overlap(clipped_matches(in_answer, in_reference), answers, references);
}

/// Row by row of the table (Wagner & Fischer 1974): time |rows|·|columns|, memory |columns|.
std::int64_t longest_common(std::span<const std::int32_t> rows, std::span<const std::int32_t> columns) {
  std::vector<std::int64_t> longest(columns.size() + 1);
  for (const auto row : rows) {
    std::int64_t corner = 0;  // of the row above, one column back
    for (std::size_t j = 0; j < columns.size(); ++j) {
      const auto above = longest[j + 1];
      longest[j + 1] = row == columns[j] ? corner + 1 : std::max(above, longest[j]);
      corner = above;
    }
  }
  return longest.back();
}

}  // namespace

RougeScores rouge(std::string_view reference, std::string_view answer, TextTokens tokens) {
  if (tokens == TextTokens::kByLanguage) tokens = tokens_for(reference);
  const auto expected = metric_tokens(reference, tokens), found = metric_tokens(answer, tokens);
  TokenNumbers numbers;
  const auto expected_numbers = numbers.of(expected), found_numbers = numbers.of(found);
  return {.rouge_1 = of_ngrams(expected, found, 1),
          .rouge_2 = of_ngrams(expected, found, 2),
          .rouge_l = rouge_l(expected_numbers, found_numbers)};
}

Overlap rouge_l(std::span<const std::int32_t> reference, std::span<const std::int32_t> answer) {
  return overlap(longest_common(reference, answer), std::ssize(answer), std::ssize(reference));
}

}  // namespace herd
