#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
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
/// Exact, without comparing each with each in order. With l common tokens in order, a and b tokens, F = 2·l / (a + b), and l is at most the
/// number m of tokens in common in any order, which lists of each token's holders give for all texts at once. So only texts with
/// 2·m / (a + b) above the bound are put to the test in order, the most promising first; the prefix of rarest tokens that every such text
/// shares one of (Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins in data cleaning") keeps the others out of the
/// count.
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
  struct Holder {
    std::uint32_t text = 0, count = 0;  // how often it has the token
  };
  Tokens tokens_of(std::string_view text);
  void add(Tokens tokens);
  std::optional<LikeText> most_alike(const Tokens& tokens);
  /// Texts that may be above the bound, with the greatest F that they can have.
  std::vector<LikeText> in_question(const Tokens& tokens);

  double bound_;
  TokenNumbers numbers_;
  std::vector<Tokens> texts_;
  std::vector<std::vector<Holder>> holders_;  // of each token, by text
  std::vector<std::uint32_t> common_;         // of each text, while a search lasts; else 0
  std::int64_t compared_ = 0;
};

}  // namespace herd
