#include "infer/log_probs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace herd {

LogProbs log_probs(std::span<const float> logits, TokenId chosen, std::size_t top) {
  const auto logit = [&](TokenId id) { return static_cast<double>(logits[static_cast<std::size_t>(id)]); };
  const double greatest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const auto l : logits) sum += std::exp(l - greatest);
  const auto of = [&, log_sum = std::log(sum)](TokenId id) { return TokenLogProb{id, logit(id) - greatest - log_sum}; };

  std::vector<TokenId> ids(top == 0 ? 0 : logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(top, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), [&](TokenId a, TokenId b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
  LogProbs out{.chosen = of(chosen), .top = {}};
  std::transform(ids.begin(), end, std::back_inserter(out.top), of);
  return out;
}

}  // namespace herd
