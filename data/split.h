#pragma once
#include <cstdint>
#include <utility>

#include "data/record.h"

namespace herd {

/// The records to learn from and those kept back, each in the order they came.
struct Split {
  Records train, held_out;
};

/// Keeps back `held_out` records: a fraction (rounded up) below 1, a number from 1 on. Those with the least hash of (content, seed) go,
/// so the choice does not depend on the records' order, and equal records stay together (they may carry the count beyond).
/// @throws ConfigError where `held_out` is negative or leaves nothing to train on.
Split split_records(Records records, double held_out, std::uint64_t seed);

}  // namespace herd
