#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/template/encode.h"
#include "data/tokenizer/tokenizer.h"
#include "infer/log_probs.h"

namespace herd {

/// A text of which the tokens from `from` on are asked for.
struct Continuation {
  std::vector<TokenId> ids;
  std::size_t from = 1;

  std::size_t asked() const { return ids.size() - from; }
  /// Σ log p of the tokens asked for. @param scores of score(): of each token from the second on.
  double log_likelihood(const std::vector<LogProbs>& scores) const;
};

/// What a text stands behind where nothing does: bos, else eos. @throws DataError where the tokenizer has neither.
TokenId text_start(const Tokenizer& tokenizer);

/// How lm-evaluation-harness (0.4.13, TemplateLM._encode_pair) parts a text: white space at the end of the context goes to the continuation, the whole is
/// encoded, and as many tokens as the context alone has are taken for it. An empty context is text_start. Special tokens are the tokenizer's own.
/// @throws DataError where nothing is left of the continuation.
Continuation text_continuation(const Tokenizer& tokenizer, std::string_view context, std::string_view continuation);

/// An answer as training puts it: no token reaches across the edge, and what ends the answer is asked for too. @param record its last turn is the answer.
Continuation answer_continuation(const PieceEncoder& encoder, const Template& t, const Record& record);

/// A text behind text_start in windows of `context` tokens, each of which asks for the next `stride`; the first for as many as it has room for. With
/// stride = context every token is asked for behind as little as lm-evaluation-harness's rolling windows have. @throws ConfigError unless 1 ≤ stride ≤ context.
std::vector<Continuation> text_windows(const Tokenizer& tokenizer, std::string_view text, std::int64_t context, std::int64_t stride);

/// Runs of white space + 1: what lm-evaluation-harness divides by for word_perplexity (Python's len(re.split(r"\s+", text))).
std::int64_t word_count(std::string_view text);

}  // namespace herd
