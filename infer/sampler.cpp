#include "infer/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

/// The greatest logit's place. One pass also finds what is no number.
std::size_t argmax(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      throw DataError({.who = fmt::format("logit of token {}", i),
                       .found = "NaN",
                       .expected = "a number",
                       .remedy = "the model's weights or its number format are broken"});
    if (logits[i] > logits[best]) best = i;
  }
  if (logits.empty() || std::isinf(logits[best]))
    throw DataError({.who = "logits",
                     .found = logits.empty() ? "none" : fmt::format("a greatest one of {}", logits[best]),
                     .expected = "a finite number",
                     .remedy = ""});
  return best;
}

double uniform(std::uint64_t seed, std::uint64_t prompt, std::uint64_t position) {
  static const auto domain = hash_name("generation");
  const auto bits = philox(seed ^ domain, position, prompt);
  return static_cast<double>((std::uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
}

bool less_probable(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability < b.probability : a.id > b.id;
}

}  // namespace

void SamplingOptions::validate() const {
  const auto refuse = [](const char* key, std::string found, const char* expected, const char* remedy = "") {
    throw ConfigError({.who = key, .found = std::move(found), .expected = expected, .remedy = remedy});
  };
  if (!(temperature >= 0) || std::isinf(temperature)) refuse("temperature", fmt::format("{}", temperature), "0 (greedy) or more");
  if (top_k < 0) refuse("top-k", std::to_string(top_k), "0 (all tokens) or more");
  if (!(top_p > 0 && top_p <= 1)) refuse("top-p", fmt::format("{}", top_p), "above 0, at most 1");
  if (temperature == 0 && (top_k != 0 || top_p != 1))
    refuse(top_k != 0 ? "top-k" : "top-p", "greedy decoding (temperature 0)", "sampling", "add a temperature, such as 1");
}

TokenSampler::TokenSampler(const SamplingOptions& options) : options_(options) { options_.validate(); }

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
  keep_top_k(logits);
  double total = 0;
  for (auto& c : candidates_)
    total += c.probability =
        std::exp((static_cast<double>(logits[static_cast<std::size_t>(c.id)]) - static_cast<double>(logits[best])) / options_.temperature);
  if (options_.top_p < 1) keep_top_p(total);
  total = 0;
  for (const auto& c : candidates_) total += c.probability;
  for (auto& c : candidates_) c.probability /= total;
  return candidates_;
}

void TokenSampler::keep_top_k(std::span<const float> logits) {
  auto least = -std::numeric_limits<float>::infinity();
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < logits.size()) {
    order_.assign(logits.begin(), logits.end());
    const auto kth = order_.begin() + (options_.top_k - 1);
    std::nth_element(order_.begin(), kth, order_.end(), std::greater<>());
    least = *kth;
  }
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] >= least) candidates_.push_back({static_cast<TokenId>(i), 0});
}

// A heap gives the most probable ones in turn: p is mostly reached after a few of a large vocabulary, so nothing sorts all of it.
void TokenSampler::keep_top_p(double total) {
  auto end = candidates_.end();
  std::make_heap(candidates_.begin(), end, less_probable);
  double held = 0;
  while (end != candidates_.begin() && held < options_.top_p * total) {
    std::pop_heap(candidates_.begin(), end, less_probable);
    held += (--end)->probability;
  }
  candidates_.erase(candidates_.begin(), end);
}

}  // namespace herd
