#include "infer/metrics/ngram_bag.h"

#include <algorithm>

namespace herd {

std::int64_t add_ngrams(NgramBag& bag, std::span<const std::string> tokens, std::size_t n) {
  if (tokens.size() < n) return 0;
  const auto count = tokens.size() - n + 1;
  std::string key;
  for (std::size_t begin = 0; begin < count; ++begin) {
    key.clear();
    for (const auto& token : tokens.subspan(begin, n)) (key += token) += ' ';
    ++bag[key];
  }
  return static_cast<std::int64_t>(count);
}

std::int64_t clipped_matches(const NgramBag& answer, const NgramBag& reference) {
  std::int64_t matches = 0;
  for (const auto& [ngram, count] : answer)
    if (const auto found = reference.find(ngram); found != reference.end()) matches += std::min(count, found->second);
  return matches;
}

}  // namespace herd
