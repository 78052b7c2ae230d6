#include "data/batches.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "runtime/base/error.h"

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

std::int64_t* data(Tensor& tensor_bt) { return tensor_bt.mutable_data_ptr<std::int64_t>(); }

}  // namespace

Batches::Batches(Examples examples, const SamplerOptions& options, TokenId pad_token)
    : examples_(std::move(examples)), sampler_(sizes_of(examples_), options), pad_token_(pad_token) {}

std::vector<Batch> Batches::micro_batches(std::int64_t step, int rank, int ranks, std::int64_t micro_batch_size) const {
  if (micro_batch_size < 1)
    throw ConfigError({.who = "train.micro_batch_size", .found = std::to_string(micro_batch_size), .expected = "at least 1", .remedy = ""});
  const auto all = sampler_.rows(step);
  const auto mine = rows_of_rank(all.count, rank, ranks);
  std::vector<Batch> out;
  for (auto begin = mine.begin; begin < mine.end; begin += micro_batch_size)
    out.push_back(collate(all, {begin, std::min(begin + micro_batch_size, mine.end)}));
  const auto most = (all.count + ranks - 1) / ranks;  // rows of the rank that has most
  out.resize(static_cast<std::size_t>((most + micro_batch_size - 1) / micro_batch_size));
  return out;
}

Batch Batches::collate(const StepRows& step, RowRange rows) const {
  Batch out;
  std::int64_t longest = 0;
  for (auto i = rows.begin; i < rows.end; ++i) {
    std::int64_t length = 0;
    for (const auto example : step.row(i)) length += examples_.length(example);
    longest = std::max(longest, length);
  }
  out.tokens_bt = at::full({rows.size(), longest}, static_cast<std::int64_t>(pad_token_), at::kLong);
  out.labels_bt = at::full({rows.size(), longest}, kIgnoreLabel, at::kLong);
  out.positions_bt = at::zeros({rows.size(), longest}, at::kLong);

  for (auto i = rows.begin; i < rows.end; ++i) {
    const auto row = i - rows.begin;
    out.row_ids.push_back(i);
    std::int64_t begin = 0;
    for (const auto member : step.row(i)) {
      const auto example = examples_[member];
      const auto at = row * longest + begin;
      for (std::int64_t t = 0; t < example.length(); ++t) {
        const auto token = example.token(t);
        data(out.tokens_bt)[at + t] = token;
        data(out.positions_bt)[at + t] = t;
        if (example.supervised(t)) data(out.labels_bt)[at + t] = token;
      }
      out.segments.push_back({row, begin, begin + example.length()});
      out.supervised_tokens += example.supervised_tokens();
      begin += example.length();
    }
  }
  return out;
}

}  // namespace herd
