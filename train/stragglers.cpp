#include "train/stragglers.h"

#include <algorithm>

namespace herd {

std::optional<Stragglers::Finding> Stragglers::add(std::span<const Work> ranks) {
  sums_.resize(ranks.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r].tokens == 0) continue;  // dealt no rows
    sums_[r].seconds += ranks[r].seconds;
    sums_[r].tokens += ranks[r].tokens;
  }
  if (++steps_ < window_) return std::nullopt;
  const auto finding = judge();
  sums_.clear();
  steps_ = 0;
  if (!finding || finding->rank != told_rank_) {
    told_rank_ = finding ? finding->rank : -1;
    windows_since_ = 0;
    windows_until_ = 1;
    return finding;
  }
  if (++windows_since_ < windows_until_) return std::nullopt;
  windows_since_ = 0;
  windows_until_ *= 2;
  return finding;
}

std::optional<Stragglers::Finding> Stragglers::judge() const {
  std::vector<std::pair<double, int>> paces;  // seconds a token
  for (std::size_t r = 0; r < sums_.size(); ++r)
    if (sums_[r].tokens > 0) paces.emplace_back(sums_[r].seconds / sums_[r].tokens, static_cast<int>(r));
  if (paces.size() < 2) return std::nullopt;
  std::sort(paces.begin(), paces.end());
  const auto [slowest, rank] = paces.back();
  const auto others = paces[(paces.size() - 2) / 2].first;
  if (sums_[static_cast<std::size_t>(rank)].seconds < least_seconds_ || !(slowest > times_ * others)) return std::nullopt;
  return Finding{.rank = rank, .times = slowest / others, .steps = steps_};
}

}  // namespace herd
