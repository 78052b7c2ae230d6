#pragma once
#include <cstdint>
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

/// Marks a position without a training target, as everywhere in the field.
inline constexpr std::int64_t kIgnoreLabel = -100;

/// One record inside a row of a batch: tokens [begin, end) attend to each other alone.
struct Segment {
  std::int64_t row = 0, begin = 0, end = 0;
  std::int64_t length() const { return end - begin; }
  bool operator==(const Segment&) const = default;
};

/// A micro-batch: `b` rows of `t` tokens. A row is one record padded on the right, or several packed one after another.
struct Batch {
  Tensor tokens_bt;     ///< int64
  Tensor labels_bt;     ///< int64; labels[i] is the token at i where it is to be learnt (predicted from i−1), else kIgnoreLabel. The first token of a segment is never a label.
  Tensor positions_bt;  ///< int64; counts from 0 in each segment
  std::vector<Segment> segments;        ///< in order of (row, begin); padding belongs to none
  std::vector<std::int64_t> row_ids;    ///< the rows' numbers in the global batch sequence, to key dropout; size b
  std::int64_t supervised_tokens = 0;   ///< labels that are not kIgnoreLabel

  std::int64_t rows() const { return tokens_bt.defined() ? tokens_bt.size(0) : 0; }
  std::int64_t length() const { return tokens_bt.defined() ? tokens_bt.size(1) : 0; }
};

}  // namespace herd
