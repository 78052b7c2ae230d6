#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "infer/log_probs.h"

namespace herd {

/// What `id` reads as after `before`; alone where nothing is. A token that holds a part of a character reads as U+FFFD.
std::string token_text(const Tokenizer& tokenizer, std::optional<TokenId> before, TokenId id);

/// Tokens and their log-probabilities, as OpenAI's two endpoints write them.
class TokenLines {
 public:
  explicit TokenLines(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  /// @param before the token that it follows. @param log_probs none: nothing stands before it that would make it probable.
  void add(std::optional<TokenId> before, TokenId id, const std::optional<LogProbs>& log_probs);

  /// {tokens, token_logprobs, top_logprobs: [{text: log_prob}], text_offset}, the last in characters. A token beside which another of the same text is more probable stands for both.
  nlohmann::ordered_json completion() const;
  /// [{token, logprob, bytes, top_logprobs: […]}]
  nlohmann::ordered_json chat() const;

 private:
  struct Line {
    std::string text;
    std::optional<double> log_prob;
    std::vector<std::pair<std::string, double>> top;
  };
  const Tokenizer& tokenizer_;
  std::vector<Line> lines_;
};

}  // namespace herd
