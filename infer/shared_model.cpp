#include "infer/shared_model.h"

namespace herd {

bool SharedModel::anyone_runs(bool i_do) {
  auto ranks = at::full({1}, i_do ? 1 : 0, at::kLong);
  communicator_.all_reduce(ranks).wait();
  return ranks.item<std::int64_t>() > 0;
}

Tensor SharedModel::next_logits(const Batch& batch, KvCache& cache) {
  anyone_runs(true);
  return strategy_.next_logits(batch, cache);
}

bool SharedModel::take_part() {
  if (!anyone_runs(false)) return false;
  KvCache none;
  strategy_.next_logits({}, none);
  return true;
}

}  // namespace herd
