#pragma once
#include <cstdint>
#include <vector>

#include "parallel/pass.h"

namespace herd {

/// Parameters of one dtype, all trainable or all frozen, laid one after the other in a flat row of elements, and the cut of that row over
/// the ranks that share it. What strategies gather, reduce and update. A parameter starts on 64 bytes in the row, and so does a part: a
/// misaligned weight would change the bits of a product. Parts differ by one such stretch at most; with more ranks than stretches some
/// are empty.
struct Flat {
  struct Place {
    Parameter* parameter;
    Unit unit;
    std::int64_t begin, end;  ///< in the row
  };
  std::vector<Place> places;
  at::ScalarType dtype = at::kFloat;
  bool trainable = true;
  Unit first = 0, last = 0;          ///< the units whose parameters it holds
  std::int64_t elements = 0;         ///< with the gaps
  std::vector<std::int64_t> counts;  ///< elements of each rank's part
  std::int64_t begin = 0, end = 0;   ///< this rank's part

  std::int64_t own() const { return end - begin; }
  Tensor part_of(const Tensor& row) const { return row.narrow(0, begin, own()); }
};

struct FlatRule {
  bool frozen_too = false;           ///< ZeRO-3 shards what is not trained as well
  std::int64_t bucket_bytes = 0;     ///< units are laid together until their fp32 gradients reach so many bytes; 0: each for itself
};

/// The flat rows of a model, in the order of the backward.
/// @param parts ranks that share a row. @param part which of them this is.
std::vector<Flat> make_flats(CausalLm& model, const FlatRule& rule, int parts, int part);

}  // namespace herd
