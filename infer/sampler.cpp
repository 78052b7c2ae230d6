#include "infer/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "infer/log_probs.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

double uniform(std::uint64_t seed, std::uint64_t prompt, std::uint64_t position) {
  static const auto domain = hash_name("generation");
  const auto bits = philox(seed ^ domain, position, prompt);
  return static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
}

bool less_probable(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability < b.probability : a.id > b.id;
}

double sum(std::span<const Candidate> candidates) {
  double total = 0;
  for (const auto& c : candidates) total += c.probability;
  return total;
}

}  // namespace

TokenSampler::TokenSampler(const SamplingOptions& options, std::size_t least) : options_(options), least_(least) { options_.validate(); }

TokenId TokenSampler::pick(std::span<const float> logits, std::uint64_t prompt, std::uint64_t position) {
  if (options_.temperature == 0) return static_cast<TokenId>(argmax(logits));
  const auto kept = distribution(logits);
  auto left = uniform(options_.seed, prompt, position);
  for (const auto& candidate : kept)
    if ((left -= candidate.probability) < 0) return candidate.id;
  // Rounding may leave a grain beyond the last: it belongs to the last that can be drawn at all.
  return std::find_if(kept.rbegin(), kept.rend(), [](const Candidate& c) { return c.probability > 0; })->id;
}

std::span<const Candidate> TokenSampler::distribution(std::span<const float> logits) {
  const auto best = argmax(logits);
  if (options_.temperature == 0) {
    candidates_.assign(1, {static_cast<TokenId>(best), 1.0});
    return candidates_;
  }
  scores_.assign(logits.begin(), logits.end());
  for (auto& score : scores_) score /= static_cast<float>(options_.temperature);
  keep_top_k();
  for (auto& c : candidates_) c.probability = std::exp(double{scores_[static_cast<std::size_t>(c.id)]} - double{scores_[best]});
  if (options_.top_p < 1) keep_top_p();
  if (options_.min_p > 0) keep_min_p();
  if (options_.typical_p < 1) keep_typical();
  const auto total = sum(candidates_);
  for (auto& c : candidates_) c.probability /= total;
  return candidates_;
}

void TokenSampler::keep_top_k() {
  auto least = -std::numeric_limits<float>::infinity();
  const auto k = std::max(static_cast<std::size_t>(options_.top_k), least_);
  if (options_.top_k > 0 && k < scores_.size()) {
    order_ = scores_;
    const auto kth = order_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(order_.begin(), kth, order_.end(), std::greater<>());
    least = *kth;
  }
  candidates_.clear();
  for (std::size_t i = 0; i < scores_.size(); ++i)
    if (scores_[i] >= least) candidates_.push_back({static_cast<TokenId>(i), 0});
}

void TokenSampler::keep_top_p() {
  const auto enough = options_.top_p * sum(candidates_);
  double held = 0;
  std::size_t kept = 0;
  keep_first(less_probable, [&](const Candidate& next) {
    if (held >= enough && kept >= least_) return false;
    held += next.probability;
    ++kept;
    return true;
  });
}

// Probabilities are still shares of the greatest.
void TokenSampler::keep_min_p() {
  std::size_t kept = 0;
  keep_first(less_probable, [&](const Candidate& next) { return kept++ < least_ || next.probability >= options_.min_p; });
}

void TokenSampler::keep_typical() {
  const auto total = sum(candidates_);
  double entropy = 0;
  for (const auto& c : candidates_)
    if (const auto p = c.probability / total; p > 0) entropy -= p * std::log(p);
  distances_.resize(scores_.size());
  const auto distance = [&](const Candidate& c) -> double& { return distances_[static_cast<std::size_t>(c.id)]; };
  for (const auto& c : candidates_) distance(c) = std::abs(-std::log(c.probability / total) - entropy);
  const auto less_typical = [&](const Candidate& a, const Candidate& b) {
    const auto x = distance(a), y = distance(b);
    return x != y ? x > y : a.id > b.id;
  };
  double held = 0, farthest = 0;
  std::size_t kept = 0;
  keep_first(less_typical, [&](const Candidate& next) {
    if (held < options_.typical_p * total) farthest = distance(next);
    else if (distance(next) > farthest && kept >= least_) return false;
    held += next.probability;
    ++kept;
    return true;
  });
}

// A heap gives the first ones in turn: mostly a few of a large vocabulary are wanted, so nothing sorts all of it.
void TokenSampler::keep_first(const auto& after, const auto& wanted) {
  auto end = candidates_.end();
  std::make_heap(candidates_.begin(), end, after);
  while (end != candidates_.begin() && wanted(candidates_.front())) std::pop_heap(candidates_.begin(), end--, after);
  candidates_.erase(candidates_.begin(), end);
}

}  // namespace herd
