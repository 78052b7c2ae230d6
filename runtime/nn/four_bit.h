#pragma once
#include <array>
#include <cstdint>

#include "runtime/nn/kernels.h"

// Numbers in four bits, over plain memory: a block of consecutive numbers shares its greatest magnitude, and each is the nearest of sixteen
// values between −1 and 1, two of them a byte, the first in the upper half. The rules are those that bitsandbytes publishes, to the bit.
namespace herd::kernel {

/// The sixteen values, and the thresholds between neighbours with the codes in the order of their values.
struct FourBitBook {
  std::array<float, 16> values;
  std::array<float, 15> thresholds;  ///< half way between neighbours
  std::array<std::uint8_t, 16> codes;
};
/// NormalFloat: quantiles of the standard normal distribution (Dettmers et al. 2023, "QLoRA", section 3 and appendix E).
const FourBitBook& nf4_book();
/// One sign, two exponent and one mantissa bit, scaled to 1.
const FourBitBook& fp4_book();

float greatest_magnitude(const float* x, std::int64_t n);
/// Quantises one block of n numbers, n even, to n / 2 bytes.
void quantise_four_bit(const FourBitBook& book, const float* x, std::int64_t n, std::uint8_t* codes);

/// A stretch [begin, begin + n) of numbers in four bits; both even.
struct FourBitStretch {
  const FourBitBook* book;
  int block_bits;             ///< log₂ of the block's size
  const std::uint8_t* codes;  ///< of number 0
  const float* absmax;        ///< of the block that holds `begin`
  std::int64_t begin, n;
};
void dequantise(const FourBitStretch& w, float* out);
void dequantise(const FourBitStretch& w, Bf16* out);
/// Σ w · x over the stretch. @param x_even, x_odd its factors, those of even and of odd place apart: n / 2 each.
float dot(const FourBitStretch& w, const float* x_even, const float* x_odd);

/// Blocks whose magnitudes, less their mean, are quantised together in turn (double quantisation).
inline constexpr std::int64_t kNestedBlock = 256;
/// The magnitudes of blocks [begin, begin + n), kept as codes of the dynamic format: book · nested + offset. @param nested one a kNestedBlock.
void expand_absmax(const std::uint8_t* codes, const float* nested, float offset, std::int64_t begin, std::int64_t n, float* absmax);

/// The 256 values of the dynamic 8-bit format, ascending: a sign, a decimal exponent that takes as many bits as it needs, and the rest a
/// linear fraction (Dettmers 2015, "8-bit approximations for parallelism in deep learning", section 3; Dettmers et al. 2022, "8-bit optimizers").
const std::array<float, 256>& dynamic_book();
/// Quantises one block of n numbers to the nearest of them. @return its greatest magnitude.
float quantise_dynamic(const float* x, std::int64_t n, std::uint8_t* codes);

}  // namespace herd::kernel
