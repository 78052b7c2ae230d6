#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/sampling_options.h"

namespace herd {

/// A token that may be drawn, and how probable it is.
struct Candidate {
  TokenId id = 0;
  double probability = 0;
};

/// From scores to a token, as Hugging Face's logits warpers define it and in their order: temperature (in fp32, what becomes equal is equal),
/// top-k (ties of the k-th are kept), top-p (the token that crosses p is kept; of equally probable ones the lower id), min-p, typical-p (the
/// token that crosses is kept, and its ties). What follows from probabilities is computed in fp64.
class TokenSampler {
 public:
  /// @param least how many tokens each of them keeps at least: 1, and in a beam search one more than may end a text.
  explicit TokenSampler(const SamplingOptions& options, std::size_t least = 1);

  /// The token, a pure function of (logits, options, prompt, position): whatever else is generated beside it changes nothing.
  /// Greedy takes the lowest id of equals. @throws DataError where no probability follows from the logits (NaN, +inf, all −inf).
  TokenId pick(std::span<const float> logits, std::uint64_t prompt, std::uint64_t position);

  /// What `pick` draws from; probabilities sum to 1. Valid until the next call. For temperature 0 the greedy token alone.
  std::span<const Candidate> distribution(std::span<const float> logits);

 private:
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  void keep_typical();
  void keep_first(const auto& after, const auto& wanted);

  SamplingOptions options_;
  std::size_t least_;
  std::vector<Candidate> candidates_;  // kept from call to call: no allocation a token
  std::vector<float> scores_, order_;
  std::vector<double> distances_;
};

}  // namespace herd
