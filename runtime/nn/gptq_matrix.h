#pragma once
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/tensor.h"

namespace herd {

/// How a matrix is brought to few bits.
struct GptqOptions {
  std::int64_t bits = 4;          ///< 2, 3, 4 or 8
  std::int64_t group_size = 128;  ///< columns that share a scale and a zero point; −1: all of them
  bool act_order = false;         ///< columns whose inputs are greatest first
  bool symmetric = false;         ///< the zero point is the middle code
  double damp = 0.01;             ///< of the Hessian's mean diagonal, added to it
};

/// A matrix [out, in] of whole numbers: w = scale · (code − zero), scale and zero of the row and the column's group.
struct GptqMatrix {
  Tensor codes;   ///< [out, in] bytes
  Tensor scales;  ///< [out, groups] fp16
  Tensor zeros;   ///< [out, groups] bytes
  Tensor g_idx;   ///< [in] int32, each column's group

  /// [out, in] in fp32.
  Tensor dequantised() const;
};

/// Of a group's numbers in each row [rows, columns] the grid that their least and greatest, and zero, just fit.
struct GptqGrid {
  Tensor scale;  ///< [rows, 1], in the numbers' dtype; fp16 holds each as it is
  Tensor zero;   ///< [rows, 1], whole numbers from 0 to 2^bits − 1

  GptqGrid(const Tensor& w_rk, const GptqOptions& options);
  /// The nearest codes, whole numbers in w's dtype.
  Tensor codes(const Tensor& w_rk) const;
  Tensor values(const Tensor& codes_rk) const { return (codes_rk - zero) * scale; }

 private:
  double most_;
};

/// Groups of a row. @throws ConfigError where its columns are no multiple of the group size, or rows and columns fill no 32-bit words.
std::int64_t gptq_groups(std::int64_t out, std::int64_t in, const GptqOptions& options, const std::string& who);

/// Each number to the nearest of its group's grid. @param w [rows, in] in fp32 or fp64.
GptqMatrix round_to_nearest(const Tensor& w_oi, const GptqOptions& options);

/// Rows of codes, a byte each, as rows of bits (kernel::pack_codes). @param codes [rows, n] bytes → [rows, n · bits / 8].
Tensor packed_rows(const Tensor& codes, std::int64_t bits);
/// Codes [begin, end) of each such row.
Tensor unpacked_rows(const Tensor& packed, std::int64_t bits, std::int64_t begin, std::int64_t end);

/// The four tensors of a published folder: qweight int32 [in · bits / 32, out], qzeros int32 [groups, out · bits / 32] (each one less, as the first
/// format has it), scales fp16 [groups, out], g_idx int32 [in]; named `<name>.qweight` …
std::vector<std::pair<std::string, Tensor>> published(const GptqMatrix& matrix, std::int64_t bits, const std::string& name);

}  // namespace herd
