#include "data/stats/counters.h"

#include <algorithm>
#include <cmath>

namespace herd {

void Lengths::add(std::int64_t length) {
  ++counts[length];
  ++number;
  total += length;
}

std::int64_t Lengths::quantile(double part) const {
  const auto rank = static_cast<std::int64_t>(std::ceil(part * static_cast<double>(number)));
  std::int64_t sum = 0;
  for (const auto& [length, count] : counts)
    if ((sum += count) >= rank) return length;
  return 0;
}

void TermCounter::add(std::string_view term, std::int64_t times) {
  total_ += times;
  if (const auto found = counts_.find(term); found != counts_.end()) {
    found->second += times;
    return;
  }
  counts_.emplace(term, times);
  if (counts_.size() > 2 * capacity_) prune();
}

void TermCounter::prune() {
  std::vector<std::int64_t> all;
  all.reserve(counts_.size());
  for (const auto& entry : counts_) all.push_back(entry.second);
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(capacity_), all.end(), std::greater<>());
  const auto lowered = all[capacity_];
  error_ += lowered;
  std::erase_if(counts_, [&](const auto& entry) { return entry.second <= lowered; });
  for (auto& entry : counts_) entry.second -= lowered;
}

std::vector<CountedTerm> TermCounter::top(std::size_t most) const {
  std::vector<CountedTerm> out;
  out.reserve(counts_.size());
  for (const auto& [term, count] : counts_) out.push_back({term, count});
  const auto end = out.begin() + static_cast<std::ptrdiff_t>(std::min(most, out.size()));
  std::partial_sort(out.begin(), end, out.end(),
                    [](const CountedTerm& a, const CountedTerm& b) { return a.count != b.count ? a.count > b.count : a.term < b.term; });
  out.erase(end, out.end());
  return out;
}

}  // namespace herd
