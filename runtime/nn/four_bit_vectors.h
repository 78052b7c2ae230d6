#pragma once
#include <span>

#include "runtime/nn/four_bit.h"

namespace herd::kernel {

/// What vector instructions do of four_bit.h. Sixteen values fit one register of AVX-512 and two of AVX2: a code is looked up without touching
/// memory, where a compiler makes a gather of it.
struct FourBitVectors {
  void (*dequantise_fp32)(const FourBitStretch& w, float* out);
  void (*dequantise_bf16)(const FourBitStretch& w, Bf16* out);
  float (*dot)(const FourBitStretch& w, const float* x_even, const float* x_odd);

  void dequantise(const FourBitStretch& w, float* out) const { dequantise_fp32(w, out); }
  void dequantise(const FourBitStretch& w, Bf16* out) const { dequantise_bf16(w, out); }
};

/// Those that this CPU can run, the fastest first; none elsewhere.
std::span<const FourBitVectors> four_bit_vectors();

/// dequantise() and dot() of four_bit.h by given instructions. @param vectors null: without any.
void dequantise_with(const FourBitVectors* vectors, const FourBitStretch& w, float* out);
void dequantise_with(const FourBitVectors* vectors, const FourBitStretch& w, Bf16* out);
float dot_with(const FourBitVectors* vectors, const FourBitStretch& w, const float* x_even, const float* x_odd);

}  // namespace herd::kernel
