#pragma once
#include <functional>
#include <span>
#include <vector>

#include "data/examples.h"
#include "data/sampler.h"
#include "runtime/nn/batch.h"

namespace herd {

/// A row of a batch: examples, one after another.
using Row = std::vector<ExampleView>;

/// Rows as a batch, filled up on the right with `pad_token` to the longest: padding belongs to no segment and is never learnt. @param first_row the first row's number in its step.
Batch collate(std::span<const Row> rows, std::int64_t first_row, TokenId pad_token);

/// A step's rows as the micro-batches of one of its ranks (StepSource::micro_batches). @param row gives a row of the step.
/// @throws ConfigError for a micro_batch_size below 1.
std::vector<Batch> micro_batches_of(std::int64_t rows, int rank, int ranks, std::int64_t micro_batch_size, TokenId pad_token, const std::function<Row(std::int64_t)>& row);

}  // namespace herd
