#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// How the next token is chosen.
struct SamplingOptions {
  double temperature = 0;  ///< 0: greedy, the most probable token
  std::int64_t top_k = 0;  ///< keep the k most probable tokens; 0: all
  double top_p = 1;        ///< then keep the fewest, the most probable first, that hold this much probability (Holtzman et al. 2020)
  std::uint64_t seed = 0;

  /// @throws ConfigError; also for a top-k or top-p that temperature 0 would leave without effect.
  void validate() const;
  bool operator==(const SamplingOptions&) const = default;
};

/// A token that may be drawn, and how probable it is.
struct Candidate {
  TokenId id = 0;
  double probability = 0;
};

/// From logits to a token, as Hugging Face's logits warpers define it: temperature, then top-k (ties of the k-th are kept), then top-p
/// (the token that crosses p is kept; of equally probable ones the lower id).
class TokenSampler {
 public:
  explicit TokenSampler(const SamplingOptions& options);

  /// The token, a pure function of (logits, options, prompt, position): whatever else is generated beside it changes nothing.
  /// Greedy takes the lowest id of equals. @throws DataError where no probability follows from the logits (NaN, +inf, all −inf).
  TokenId pick(std::span<const float> logits, std::uint64_t prompt, std::uint64_t position);

  /// What `pick` draws from; probabilities sum to 1. Valid until the next call. For temperature 0 the greedy token alone.
  std::span<const Candidate> distribution(std::span<const float> logits);

 private:
  void keep_top_k(std::span<const float> logits);
  void keep_top_p(double total);

  SamplingOptions options_;
  std::vector<Candidate> candidates_;  // kept from call to call: no allocation a token
  std::vector<float> order_;
};

}  // namespace herd
