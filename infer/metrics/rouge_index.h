#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "infer/metrics/numbered_tokens.h"

namespace herd {

/// A text of an index that another one is like: its number (from 0, in the order of adding) and how much.
struct LikeText {
  std::uint32_t number = 0;
  double score = 0;
};

/// Texts, and which of them has the greatest ROUGE-L with another text, where that is above a bound. Each text has the tokens of its own
/// language (tokens.h); for texts of one language the score is `rouge(a, b).rouge_l.f`.
///
/// Exact, without comparing each with each. With l common tokens in order, a and b tokens, F = 2·l / (a + b), and l is at most the number m
/// of tokens in common in any order. So F > t needs m > t·(a + b) / 2, which bounds b by a, and lets no text come into question that shares
/// none of the rarest tokens of a that leave fewer than that (prefix filtering: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for
/// similarity joins in data cleaning"). Only what is left is put to the test in order.
class RougeIndex {
 public:
  /// @throws ConfigError for a bound out of [0, 1).
  explicit RougeIndex(double bound);

  void add(std::string_view text);
  /// The text that is most alike, where that is above the bound: the first of several; else none, and the text is added.
  std::optional<LikeText> earlier(std::string_view text);
  std::size_t size() const { return texts_.size(); }
  std::int64_t compared() const { return compared_; }  ///< pairs whose common subsequence was computed, so far

 private:
  using Tokens = std::vector<std::int32_t>;
  using Counts = std::vector<std::pair<std::int32_t, std::int32_t>>;  // token, how often; by token
  struct Text {
    Tokens tokens;
    Counts counts;
  };
  Text text_of(std::string_view text);
  void add(Text text);
  std::optional<LikeText> most_alike(const Text& text);
  std::vector<std::uint32_t> in_question(const Text& text);

  double bound_;
  TokenNumbers numbers_;
  std::vector<Text> texts_;
  std::vector<std::vector<std::uint32_t>> holders_;  // of each token: the texts that have it
  std::vector<std::uint32_t> seen_;                  // of each text: the last search that came upon it
  std::uint32_t search_ = 0;
  std::int64_t compared_ = 0;
};

}  // namespace herd
