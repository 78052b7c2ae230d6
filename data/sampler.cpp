#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/random.h"

namespace herd {
namespace {

// Where in its turn each example begins, in [0, 1): examples of one weight are spread evenly, in a random order.
std::vector<double> phases_of(const std::vector<ExampleSize>& sizes, std::uint64_t seed) {
  std::map<float, std::int64_t> counts;
  for (const auto& size : sizes) ++counts[size.weight];
  if (counts.size() == 1 && counts.begin()->first == 1) return {};
  std::map<float, std::vector<std::int64_t>> places;
  std::map<float, std::size_t> next;
  for (const auto& [weight, count] : counts)
    places[weight] = permutation(count, seed ^ hash_name("example weights"), static_cast<std::uint64_t>(places.size()));
  std::vector<double> out;
  for (const auto& size : sizes)
    out.push_back((static_cast<double>(places[size.weight][next[size.weight]++]) + 0.5) / static_cast<double>(counts[size.weight]));
  return out;
}

}  // namespace

RowRange rows_of_rank(std::int64_t count, int rank, int ranks) { return {count * rank / ranks, count * (rank + 1) / ranks}; }

Sampler::Sampler(std::vector<ExampleSize> sizes, SamplerOptions options)
    : sizes_(std::move(sizes)), options_(options), phases_(phases_of(sizes_, options.seed)) {
  if (sizes_.empty()) throw DataError({.who = "sampler", .found = "no examples", .expected = "at least one", .remedy = ""});
  if (options_.global_batch_size < 1)
    throw ConfigError({.who = "train.global_batch_size", .found = std::to_string(options_.global_batch_size), .expected = "at least 1",
                       .remedy = ""});
}

// Those that an epoch shows, as often as it does, in the order of the examples.
std::vector<std::int64_t> Sampler::examples_of_epoch(std::int64_t epoch) const {
  std::vector<std::int64_t> out;
  if (phases_.empty()) {
    out.resize(sizes_.size());
    std::iota(out.begin(), out.end(), 0);
    return out;
  }
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const auto shown_until = [&](std::int64_t e) { return std::floor(sizes_[i].weight * static_cast<double>(e) + phases_[i]); };
    for (auto n = shown_until(epoch + 1) - shown_until(epoch); n > 0; --n) out.push_back(static_cast<std::int64_t>(i));
  }
  return out;
}

std::shared_ptr<const RowList> Sampler::rows_of_epoch(std::int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (cached_epoch_ == epoch) return cached_rows_;
  auto order = examples_of_epoch(epoch);
  if (options_.order == Order::kShuffled) {
    auto shuffled = permutation(static_cast<std::int64_t>(order.size()), options_.seed, static_cast<std::uint64_t>(epoch));
    for (auto& place : shuffled) place = order[static_cast<std::size_t>(place)];
    order = std::move(shuffled);
  }
  std::vector<std::int64_t> lengths;
  if (options_.packing || options_.group_by_length) {
    lengths.reserve(sizes_.size());
    for (const auto& size : sizes_) lengths.push_back(size.tokens);
  }
  const RowOrder shuffle{options_.seed, static_cast<std::uint64_t>(epoch)};
  cached_rows_ = std::make_shared<const RowList>(
      options_.packing           ? pack_rows(order, lengths, options_.max_tokens, shuffle)
      : options_.group_by_length ? grouped_rows(order, lengths, options_.global_batch_size, shuffle)
                                 : single_rows(order));
  cached_epoch_ = epoch;
  return cached_rows_;
}

std::int64_t Sampler::steps_in_epoch(std::int64_t epoch) const {
  const auto rows = epochs_are_alike() ? static_cast<std::int64_t>(sizes_.size()) : rows_of_epoch(epoch)->size();
  return (rows + options_.global_batch_size - 1) / options_.global_batch_size;
}

std::int64_t Sampler::first_step(std::int64_t epoch) const {
  if (epochs_are_alike()) return epoch * steps_in_epoch(0);
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
  if (epochs_are_alike()) return step / steps_in_epoch(0);
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
