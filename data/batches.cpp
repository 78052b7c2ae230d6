#include "data/batches.h"

#include <utility>

namespace herd {
namespace {

std::vector<ExampleSize> sizes_of(const Examples& examples) {
  std::vector<ExampleSize> out;
  out.reserve(static_cast<std::size_t>(examples.size()));
  for (std::int64_t i = 0; i < examples.size(); ++i) {
    const auto example = examples[i];
    out.push_back({example.length(), example.supervised_tokens(), example.weight()});
  }
  return out;
}

}  // namespace

Batches::Batches(Examples examples, const SamplerOptions& options, TokenId pad_token)
    : examples_(std::move(examples)), sampler_(sizes_of(examples_), options), pad_token_(pad_token) {}

StepSize Batches::size(std::int64_t step) {
  const auto rows = sampler_.rows(step);
  return {rows.count, rows.tokens, rows.supervised_tokens};
}

std::vector<Batch> Batches::micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) const {
  const auto all = sampler_.rows(step);
  return micro_batches_of(all.count, rank, ranks, micro_batch_size, pad_token_, [&](std::int64_t i) {
    Row row;
    for (const auto member : all.row(i)) row.push_back(examples_[member]);
    return row;
  });
}

std::vector<Batch> Batches::micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) {
  return std::as_const(*this).micro_batches(step, rank, ranks, micro_batch_size);
}

std::optional<std::int64_t> Batches::epoch_ended_at(std::int64_t steps) {
  if (steps == 0) return std::nullopt;
  const auto epoch = sampler_.epoch_of(steps - 1);
  return sampler_.first_step(epoch + 1) == steps ? std::optional(epoch) : std::nullopt;
}

}  // namespace herd
