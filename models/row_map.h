#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/tensor/weights.h"

namespace herd {

/// A tensor among others.
struct StoredAs {
  std::shared_ptr<const Weights> weights;
  std::string name;

  const TensorInfo& info() const { return weights->info(name); }
};

/// A row of one of the sources.
struct RowPlace {
  std::size_t source = 0;
  std::int64_t row = 0;
};

/// The tensor of `rows` rows whose row r is the source row place(r): fused matrices split, split ones fused, heads in another order. Read
/// a stretch at a time. @param sources of one dtype and, but for their rows, of one shape. @throws ShapeError.
DerivedTensor by_rows(std::vector<StoredAs> sources, std::int64_t rows, std::function<RowPlace(std::int64_t)> place);
/// The sources one below the other.
DerivedTensor stacked(std::vector<StoredAs> sources);
/// The sources side by side: along their second dimension.
DerivedTensor side_by_side(std::vector<StoredAs> sources);
/// The tensor as it is, under another name.
DerivedTensor renamed(StoredAs source);

}  // namespace herd
