#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "infer/sampler.h"

namespace herd {

/// When a beam search is over, once it has as many finished texts as beams.
enum class EarlyStopping {
  kHeuristic,  ///< no growing text could beat the worst of them at its length of now
  kAtOnce,
  kNever,      ///< none could at any length that max_new_tokens allows
};

struct BeamOptions {
  std::int64_t beams = 1;      ///< 1: no search
  double length_penalty = 1;   ///< a finished text scores its log-probability / (tokens of the answer)^this (Wu et al. 2016, section 7, in Hugging Face's form)
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;
  std::int64_t returned = 1;   ///< texts that are wanted, the best first

  /// @throws ConfigError.
  void validate() const;
  bool operator==(const BeamOptions&) const = default;
};

/// The texts of one beam search: which grow, which are finished; with the rules of Hugging Face's `generate` (num_beams), so that the same texts come out.
/// It knows nothing of models.
class BeamSearch {
 public:
  struct Beam {
    std::vector<TokenId> ids{};  ///< of the answer
    float score = 0;             ///< growing: log-probability; finished: by length_penalty
  };
  /// A token behind a growing text. @param key by which the best are taken: the score, or a draw.
  struct Candidate {
    std::size_t beam;
    TokenId id;
    float score;  ///< log-probability of the whole
    double key;
  };

  /// @param max_new_tokens room for the answer. @param ends how many ids end a text.
  BeamSearch(const BeamOptions& options, std::int64_t max_new_tokens, std::size_t ends);

  const std::vector<Beam>& growing() const { return growing_; }
  /// Adds what may come behind a growing text: its best tokens or, at a temperature, all that `sampler` keeps, each under a draw of its own.
  /// @param scores log-softmax, after the processors. @param number keys the draws, as Prompt::number does.
  void offer(std::size_t beam, std::span<const float> scores, TokenSampler& sampler, const SamplingOptions& sampling, std::uint64_t number, std::vector<Candidate>& to) const;
  /// One token more. @param ended whether a text ends with its last token.
  /// @return for each text that grows now, which of those before it goes on from; none: the search is over.
  std::vector<std::size_t> advance(std::vector<Candidate> candidates, const std::function<bool(const std::vector<TokenId>&)>& ended);
  /// Those wanted, the best first; with the ids that ended them.
  std::vector<Beam> best() const;

 private:
  void finish(Beam beam);
  bool may_improve() const;

  BeamOptions options_;
  std::int64_t max_new_tokens_;
  std::size_t looked_at_;
  std::vector<Beam> growing_{1}, finished_;
};

}  // namespace herd
