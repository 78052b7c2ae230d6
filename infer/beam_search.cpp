#include "infer/beam_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "infer/log_probs.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {

void BeamOptions::validate() const {
  const auto refuse = [](const char* key, std::string found, std::string expected) {
    throw ConfigError({.who = key, .found = std::move(found), .expected = std::move(expected), .remedy = ""});
  };
  if (beams < 1) refuse("beams", std::to_string(beams), "at least 1");
  if (!std::isfinite(length_penalty)) refuse("length-penalty", fmt::format("{}", length_penalty), "a number");
  if (returned < 1 || returned > beams) refuse("return", std::to_string(returned), fmt::format("1 to beams, {}", beams));
  if (beams == 1 && (length_penalty != 1 || early_stopping != EarlyStopping::kHeuristic))
    refuse(length_penalty != 1 ? "length-penalty" : "early-stopping", "one beam, whose text nothing is compared with", "beams above 1");
}

BeamSearch::BeamSearch(const BeamOptions& options, std::int64_t max_new_tokens, std::size_t ends)
    : options_(options), max_new_tokens_(max_new_tokens), looked_at_(std::max<std::size_t>(2, 1 + ends) * static_cast<std::size_t>(options.beams)) {}

// The greatest sums of score and extreme-value noise are a draw without putting back (Kool et al. 2019, "Stochastic beams and where to find them").
void BeamSearch::offer(std::size_t beam, std::span<const float> scores, TokenSampler& sampler, const SamplingOptions& sampling, std::uint64_t number,
                       std::vector<Candidate>& to) const {
  const auto& growing = growing_[beam];
  if (sampling.temperature == 0) {
    for (const auto id : greatest(scores, looked_at_)) {
      const auto score = growing.score + scores[static_cast<std::size_t>(id)];
      to.push_back({beam, id, score, score});
    }
    return;
  }
  static const auto domain = hash_name("beam search");
  for (const auto& candidate : sampler.distribution(scores)) {
    const auto score = growing.score + scores[static_cast<std::size_t>(candidate.id)] / static_cast<float>(sampling.temperature);
    const auto place = growing.ids.size() * static_cast<std::size_t>(options_.beams) + beam;
    const auto bits = philox(sampling.seed ^ domain, place << 32 | static_cast<std::uint64_t>(candidate.id), number)[0];
    to.push_back({beam, candidate.id, score, score - std::log(-std::log((bits + 0.5) * 0x1p-32))});
  }
}

std::vector<std::size_t> BeamSearch::advance(std::vector<Candidate> candidates, const std::function<bool(const std::vector<TokenId>&)>& ended) {
  const auto count = std::min(looked_at_, candidates.size()), beams = static_cast<std::size_t>(options_.beams);
  const auto better = [](const Candidate& a, const Candidate& b) { return a.key != b.key ? a.key > b.key : a.beam != b.beam ? a.beam < b.beam : a.id < b.id; };
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end(), better);

  const bool full = std::ssize(growing_.front().ids) + 1 == max_new_tokens_;
  std::vector<Beam> next;
  std::vector<std::size_t> from;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& candidate = candidates[i];
    auto ids = growing_[candidate.beam].ids;
    ids.push_back(candidate.id);
    if (full || ended(ids)) {
      if (i < beams) finish({std::move(ids), candidate.score});  // those further back would not have grown either
    } else {
      next.push_back({std::move(ids), candidate.score});
      from.push_back(candidate.beam);
    }
  }
  // A draw may have taken a worse one first; those that grow are the best of the drawn.
  std::vector<std::size_t> order(next.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return next[a].score > next[b].score; });
  order.resize(std::min(beams, order.size()));
  growing_.clear();
  std::vector<std::size_t> parents;
  for (const auto i : order) growing_.push_back(std::move(next[i])), parents.push_back(from[i]);
  return growing_.empty() || !may_improve() ? std::vector<std::size_t>() : parents;
}

void BeamSearch::finish(Beam beam) {
  beam.score = static_cast<float>(beam.score / static_cast<float>(std::pow(static_cast<double>(beam.ids.size()), options_.length_penalty)));
  const auto place = std::find_if(finished_.begin(), finished_.end(), [&](const Beam& other) { return other.score < beam.score; });
  finished_.insert(place, std::move(beam));
  if (std::ssize(finished_) > options_.beams) finished_.pop_back();
}

bool BeamSearch::may_improve() const {
  if (std::ssize(finished_) < options_.beams) return true;
  if (options_.early_stopping == EarlyStopping::kAtOnce) return false;
  const bool at_its_longest = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  const auto length = at_its_longest ? max_new_tokens_ : std::ssize(growing_.front().ids);
  return growing_.front().score / static_cast<float>(std::pow(static_cast<double>(length), options_.length_penalty)) > finished_.back().score;
}

std::vector<BeamSearch::Beam> BeamSearch::best() const {
  return {finished_.begin(), finished_.begin() + std::min<std::ptrdiff_t>(options_.returned, std::ssize(finished_))};
}

}  // namespace herd
