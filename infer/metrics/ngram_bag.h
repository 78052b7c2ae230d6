#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

namespace herd {

/// How often each run of neighbouring tokens comes. Its key is the tokens with a blank after each: no token holds white space.
using NgramBag = std::unordered_map<std::string, std::int64_t>;

/// Adds the runs of `n` tokens. @return how many there are: max(0, tokens − n + 1).
std::int64_t add_ngrams(NgramBag& bag, std::span<const std::string> tokens, std::size_t n);

/// Σ over the n-grams of both of the lesser count: a reference's n-gram is met once for each time that it stands there.
std::int64_t clipped_matches(const NgramBag& answer, const NgramBag& reference);

}  // namespace herd
