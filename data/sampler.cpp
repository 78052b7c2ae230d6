#include "data/sampler.h"

#include <algorithm>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {

RowRange rows_of_rank(std::int64_t count, int rank, int ranks) { return {count * rank / ranks, count * (rank + 1) / ranks}; }

Sampler::Sampler(std::vector<ExampleSize> sizes, SamplerOptions options) : sizes_(std::move(sizes)), options_(options) {
  if (sizes_.empty()) throw DataError({.who = "sampler", .found = "no examples", .expected = "at least one", .remedy = ""});
  if (options_.global_batch_size < 1)
    throw ConfigError({.who = "train.global_batch_size", .found = std::to_string(options_.global_batch_size), .expected = "at least 1",
                       .remedy = ""});
}

std::shared_ptr<const RowList> Sampler::rows_of_epoch(std::int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (cached_epoch_ == epoch) return cached_rows_;
  const auto count = static_cast<std::int64_t>(sizes_.size());
  std::vector<std::int64_t> order(sizes_.size());
  if (options_.order == Order::kShuffled) {
    order = permutation(count, options_.seed, static_cast<std::uint64_t>(epoch));
  } else {
    std::iota(order.begin(), order.end(), 0);
  }
  if (options_.packing) {
    std::vector<std::int64_t> lengths;
    for (const auto& size : sizes_) lengths.push_back(size.tokens);
    cached_rows_ = std::make_shared<const RowList>(pack_rows(order, lengths, options_.max_tokens));
  } else {
    cached_rows_ = std::make_shared<const RowList>(single_rows(order));
  }
  cached_epoch_ = epoch;
  return cached_rows_;
}

std::int64_t Sampler::steps_in_epoch(std::int64_t epoch) const {
  const auto rows = options_.packing ? rows_of_epoch(epoch)->size() : static_cast<std::int64_t>(sizes_.size());
  return (rows + options_.global_batch_size - 1) / options_.global_batch_size;
}

std::int64_t Sampler::first_step(std::int64_t epoch) const {
  if (!options_.packing) return epoch * steps_in_epoch(0);
  for (;;) {
    std::int64_t known, step;
    {
      const std::lock_guard lock(mutex_);
      if (epoch < static_cast<std::int64_t>(first_steps_.size())) return first_steps_[static_cast<std::size_t>(epoch)];
      known = static_cast<std::int64_t>(first_steps_.size());
      step = first_steps_.back();
    }
    step += steps_in_epoch(known - 1);
    const std::lock_guard lock(mutex_);
    if (static_cast<std::int64_t>(first_steps_.size()) == known) first_steps_.push_back(step);
  }
}

std::int64_t Sampler::epoch_of(std::int64_t step) const {
  if (!options_.packing) return step / steps_in_epoch(0);
  std::int64_t epoch = 0;
  while (first_step(epoch + 1) <= step) ++epoch;
  return epoch;
}

StepRows Sampler::rows(std::int64_t step) const {
  StepRows out;
  out.epoch = epoch_of(step);
  out.epoch_rows = rows_of_epoch(out.epoch);
  out.first = (step - first_step(out.epoch)) * options_.global_batch_size;
  out.count = std::min(options_.global_batch_size, out.epoch_rows->size() - out.first);
  for (std::int64_t i = 0; i < out.count; ++i)
    for (const auto example : out.row(i)) {
      out.tokens += sizes_[static_cast<std::size_t>(example)].tokens;
      out.supervised_tokens += sizes_[static_cast<std::size_t>(example)].supervised_tokens;
    }
  return out;
}

}  // namespace herd
