#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"

namespace herd {

/// Elements [begin, end) of a flattened tensor that a rank holds.
struct Piece {
  std::string state, name;
  std::vector<std::int64_t> shape;
  std::string dtype;
  std::uint64_t element_bytes = 0;
  std::int64_t begin = 0, end = 0;

  bool operator==(const Piece&) const = default;
};

/// Most bytes of a slice, by default. A slice is read whole, for its checksum: a rank that wants a part of a tensor reads at most one slice
/// too many at either end. Of a model of 65B, with its moments, there are some 50,000.
inline constexpr std::int64_t kSliceBytes = std::int64_t{16} << 20;

/// A stretch of a tensor and the one rank that writes it, as one slice.
struct Assignment {
  std::size_t tensor = 0;  ///< index into SavePlan::tensors
  std::size_t piece = 0;   ///< index into what that rank holds
  std::int64_t begin = 0, end = 0;
  int writer = 0;
};

struct SavePlan {
  std::vector<StoredTensor> tensors;    ///< in the order in which ranks name them, without slices yet
  std::vector<Assignment> assignments;  ///< by tensor, then begin; they tile each tensor
};

/// Who writes what. Longer stretches than `slice_bytes` are cut. One that several ranks hold (replicas) goes to the one of them with the
/// fewest bytes so far: the same plan on every rank.
/// @param held by rank. @throws ShapeError naming a tensor whose stretches overlap or leave a hole, or of which ranks disagree.
SavePlan plan_save(const std::vector<std::vector<Piece>>& held, std::int64_t slice_bytes = kSliceBytes);

/// For the wire.
std::string pack_pieces(const std::vector<Piece>& pieces);
std::vector<Piece> unpack_pieces(const std::string& text);

}  // namespace herd
