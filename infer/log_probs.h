#pragma once
#include <span>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

struct TokenLogProb {
  TokenId id = 0;
  double log_prob = 0;  ///< natural logarithm
};

/// How probable the model finds a token, and what it finds most probable.
struct LogProbs {
  TokenLogProb chosen;
  std::vector<TokenLogProb> top;  ///< the most probable first, of equals the lower id
};

/// The place of the greatest, of equals the first. @throws DataError where none can be told: NaN, an infinite one, all of them banned (−infinity).
std::size_t argmax(std::span<const float> logits);
/// The places of the greatest, at most `count`, in order; of equals the lower first. @throws as argmax does.
std::vector<TokenId> greatest(std::span<const float> logits, std::size_t count);
/// In place, summed in fp64.
void log_softmax(std::span<float> logits);

/// Log-softmax of raw logits, summed in fp64. LogitsProcessors write into a row: who wants both keeps a copy of it from before.
/// @param top how many of the most probable are wanted; at most all are there.
LogProbs log_probs(std::span<const float> logits, TokenId chosen, std::size_t top);

}  // namespace herd
