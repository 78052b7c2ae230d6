#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"
#include "data/stats/counters.h"

namespace herd {

inline constexpr std::size_t kLongestNgram = 3;

/// A text's terms in lower case, in stretches: a Chinese or Japanese character each, and words, which are runs of other letters, marks,
/// digits, and apostrophes between them. Blanks part terms, all other characters and line ends part stretches.
struct Term {
  std::string text;
  bool is_word = false;
};
std::vector<std::vector<Term>> terms_of(std::string_view text);

/// How often each run of one, two and three neighbouring terms of a stretch comes. Words are joined by a blank, characters by nothing.
struct NgramCounts {
  static constexpr std::size_t kCapacity = 250'000;  ///< of each of the tables: at most some 50 MB
  std::array<TermCounter, kLongestNgram> by_length{TermCounter(kCapacity), TermCounter(kCapacity), TermCounter(kCapacity)};
  /// Adds those of `length` + 1 terms.
  void add(const std::vector<std::vector<Term>>& stretches, std::size_t length);
};

/// Of all turns of a record.
std::vector<std::vector<Term>> terms_of(const Record& record);

}  // namespace herd
