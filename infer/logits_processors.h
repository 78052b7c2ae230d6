#pragma once
#include <span>
#include <vector>

#include "infer/sampling_options.h"

namespace herd {

/// What the text so far does to the scores of its next token, in the order and fp32 arithmetic of Hugging Face's `generate`: biases, the
/// repetition penalty, frequency and presence penalties (which are not in there), no repeated n-grams, bad words, no end before `min_new_tokens`.
/// What is banned scores −infinity. Knows options alone and nothing of a text: one serves the beams of a search, from several threads.
class LogitsProcessors {
 public:
  /// @param ends ids that end the text. @param vocab_size how many scores there are.
  /// @throws ConfigError for options that are wrong, naming an id that the vocabulary lacks.
  LogitsProcessors(const SamplingOptions& options, std::vector<TokenId> ends, std::int64_t vocab_size);

  /// @param scores one a token: logits, or in a beam search their log-softmax. @param prompt, answer ids of the vocabulary.
  void apply(std::span<float> scores, std::span<const TokenId> prompt, std::span<const TokenId> answer) const;

 private:
  struct Bias {
    std::vector<TokenId> ids;
    float bias;
  };
  static void add(std::span<float> scores, const std::vector<Bias>& biases, std::span<const TokenId> text);
  void penalise_repetition(std::span<float> scores, std::span<const TokenId> text) const;
  void penalise_answer(std::span<float> scores, std::span<const TokenId> answer) const;
  void ban_ngrams(std::span<float> scores, std::span<const TokenId> text) const;

  SamplingOptions options_;
  std::vector<TokenId> ends_;
  std::vector<Bias> biases_, bans_;  // those of one last id side by side
  bool reads_text_ = false;
};

}  // namespace herd
