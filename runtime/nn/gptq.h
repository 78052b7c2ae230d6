#pragma once
#include <cstdint>

#include "runtime/nn/kernels.h"

// Rows of whole numbers of 2, 3, 4 or 8 bits in groups with a scale and a zero point, over plain memory: the storage of GPTQ's files (Frantar et
// al. 2023). The codes of a row are one stream of bits, from the lowest of the first byte on: published int32 words, 3-bit ones included, are
// that stream four bytes at a time.
namespace herd::kernel {

/// w[k] = scale[g] · (code[k] − zero[g]) with g = groups[k].
struct GroupedRow {
  int bits = 4;
  const std::uint8_t* codes = nullptr;
  const std::uint16_t* scales = nullptr;  ///< fp16, one a group
  const std::uint8_t* zeros = nullptr;
  const std::int32_t* groups = nullptr;   ///< one a column
};

/// Columns [begin, begin + n).
void dequantise(const GroupedRow& row, std::int64_t begin, std::int64_t n, float* out);
void dequantise(const GroupedRow& row, std::int64_t begin, std::int64_t n, Bf16* out);

/// Σ w[k]·x[k] over the first n columns.
float dot(const GroupedRow& row, const float* x, std::int64_t n);

/// n codes, a byte each, as a stream of bits; n · bits is a multiple of 8.
void pack_codes(int bits, const std::uint8_t* codes, std::int64_t n, std::uint8_t* packed);
/// Codes [begin, begin + n) of a stream.
void unpack_codes(int bits, const std::uint8_t* packed, std::int64_t begin, std::int64_t n, std::uint8_t* codes);

}  // namespace herd::kernel
