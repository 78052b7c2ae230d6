#pragma once
#include <cstdint>
#include <vector>

#include "infer/log_probs.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// How probable a model finds texts: of each, one LogProbs a token from the second on, log p(tokenᵢ | tokens before it). The last token is never read, so a
/// text may be one token longer than facts.max_positions. With the adapter that is in place.
/// @param top how many of the most probable tokens are told beside each (log_probs). @param batch_size texts of like length side by side.
/// @throws DataError for a text without two tokens, one that is too long, or ids that the model lacks; ConfigError for a batch_size below 1.
std::vector<std::vector<LogProbs>> score(CausalLm& model, const std::vector<std::vector<TokenId>>& texts, std::int64_t top, std::int64_t batch_size);

/// Places of `lengths`, the longest first, of equals in order, in batches of `batch_size`: what score() puts side by side.
std::vector<std::vector<std::size_t>> batches_by_length(const std::vector<std::size_t>& lengths, std::int64_t batch_size);

}  // namespace herd
