#include "data/collate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "runtime/base/error.h"

namespace herd {
namespace {

std::int64_t* data(Tensor& tensor_bt) { return tensor_bt.mutable_data_ptr<std::int64_t>(); }

}  // namespace

Batch collate(std::span<const Row> rows, std::int64_t first_row, TokenId pad_token) {
  Batch out;
  std::int64_t longest = 0;
  for (const auto& row : rows) {
    std::int64_t length = 0;
    for (const auto& example : row) length += example.length();
    longest = std::max(longest, length);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  out.tokens_bt = at::full({count, longest}, static_cast<std::int64_t>(pad_token), at::kLong);
  out.labels_bt = at::full({count, longest}, kIgnoreLabel, at::kLong);
  out.positions_bt = at::zeros({count, longest}, at::kLong);

  for (std::int64_t row = 0; row < count; ++row) {
    out.row_ids.push_back(first_row + row);
    std::int64_t begin = 0;
    for (const auto& example : rows[static_cast<std::size_t>(row)]) {
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

std::vector<Batch> micro_batches_of(std::int64_t rows, int rank, int ranks, std::int64_t micro_batch_size, TokenId pad_token, const std::function<Row(std::int64_t)>& row) {
  if (micro_batch_size < 1)
    throw ConfigError({.who = "train.micro_batch_size", .found = std::to_string(micro_batch_size), .expected = "at least 1", .remedy = ""});
  const auto mine = rows_of_rank(rows, rank, ranks);
  std::vector<Batch> out;
  for (auto begin = mine.begin; begin < mine.end; begin += micro_batch_size) {
    std::vector<Row> part;
    for (auto i = begin; i < std::min(begin + micro_batch_size, mine.end); ++i) part.push_back(row(i));
    out.push_back(collate(part, begin, pad_token));
  }
  const auto most = (rows + ranks - 1) / ranks;  // rows of the rank that has most
  out.resize(static_cast<std::size_t>((most + micro_batch_size - 1) / micro_batch_size));
  return out;
}

}  // namespace herd
