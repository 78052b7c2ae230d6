#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "infer/metrics/numbered_tokens.h"
#include "infer/metrics/rouge_index.h"

namespace herd {

/// Texts, and how much each has of another text's words: Okapi BM25 (Robertson & Zaragoza 2009, "The probabilistic relevance framework:
/// BM25 and beyond", section 3.4) by an inverted index. With N texts, n of which hold a token, a text of d tokens that holds it f times,
/// and D the mean of d:
///
///     score = Σ over the tokens of the question of idf · f · (k1 + 1) / (f + k1 · (1 − b + b · d / D))
///     idf = ln(N − n + 0.5) − ln(n + 0.5), where that is negative a quarter of the mean idf of all tokens
///
/// with k1 = 1.5, b = 0.75, as gensim 3, by which BELLE rejects above 18, and the Python package rank_bm25 have them. The score has no
/// upper bound: it grows with the length of the question and with N, and is small among few texts. Each text has the tokens of its own
/// language (tokens.h): words, or the characters of Chinese; BELLE takes BLOOM's tokens, so that its bound is of another, though a like,
/// scale.
class Bm25Index {
 public:
  static constexpr double kK1 = 1.5, kB = 0.75, kEpsilon = 0.25;

  explicit Bm25Index(double bound = 0) : bound_(bound) {}

  void add(std::string_view text);
  /// The text of the greatest score, where that is above the bound: the first of several; else none, and the text is added.
  std::optional<LikeText> earlier(std::string_view text);
  /// Of each text, in the order of adding.
  std::vector<double> scores(std::string_view question);
  std::size_t size() const { return lengths_.size(); }

 private:
  struct Posting {
    std::uint32_t text = 0, count = 0;
  };
  using Tokens = std::vector<std::int32_t>;
  Tokens tokens_of(std::string_view text);
  void add(const Tokens& tokens);
  std::vector<double> scores(const Tokens& question) const;
  double idf(std::size_t holders) const;
  double mean_idf() const;

  double bound_;
  TokenNumbers numbers_;
  std::vector<std::uint32_t> lengths_;
  std::int64_t all_tokens_ = 0;
  std::vector<std::vector<Posting>> postings_;  // of each token, by text
  std::vector<std::int64_t> tokens_with_;       // how many tokens are held by so many texts
};

}  // namespace herd
