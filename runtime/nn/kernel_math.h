#pragma once
#include <bit>
#include <cmath>

#include "runtime/nn/every_cpu.h"
#include "runtime/nn/kernels.h"

// What the loops of kernels.h and its like are made of. All of it is inlined into them, so that each is compiled for their instruction set.
namespace herd::kernel {

using Index = std::int64_t;

HERD_INLINE float load(const float* p, Index i) { return p[i]; }
HERD_INLINE float load(const std::int8_t* p, Index i) { return static_cast<float>(p[i]); }
HERD_INLINE float load(const Bf16* p, Index i) { return std::bit_cast<float>(static_cast<std::uint32_t>(p[i].bits) << 16); }

// To the nearest, ties to even; NaN stays NaN.
HERD_INLINE std::uint16_t bf16_bits(float v) {
  const auto bits = std::bit_cast<std::uint32_t>(v);
  const auto nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : nearest);
}
HERD_INLINE void store(float* p, Index i, float v) { p[i] = v; }
HERD_INLINE void store(Bf16* p, Index i, float v) { p[i].bits = bf16_bits(v); }
// v as the storage would hold it.
HERD_INLINE float rounded(const float*, float v) { return v; }
HERD_INLINE float rounded(const Bf16*, float v) { return std::bit_cast<float>(static_cast<std::uint32_t>(bf16_bits(v)) << 16); }

// e^x to 2 units in the last place: x = n·ln 2 + r, a polynomial of r (Taylor to r⁷, |r| ≤ ln 2 / 2), n into the exponent. 0 below −87, inf above 88.7; NaN stays.
HERD_INLINE float exponential(float x) {
  constexpr float kLog2e = 1.44269504f, kRound = 12582912.0f;         // 1.5 · 2²³: adding it rounds to an integer
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // Cody and Waite
  const float in = x < -87.0f ? -87.0f : x > 88.7f ? 88.7f : x;
  const float shifted = in * kLog2e + kRound, n = shifted - kRound;
  const float r = in - n * kLn2High - n * kLn2Low;
  const float p = 1 + r * (1 + r * (1.0f / 2 + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040)))))));
  // 2ⁿ in two factors: n reaches 128, one more than an exponent holds.
  // n as an integer is read off the bits of `shifted`: a cast would be undefined for NaN.
  const auto whole = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound);
  const auto half = whole >> 1, rest = whole - half;
  const float y = p * std::bit_cast<float>((half + 127) << 23) * std::bit_cast<float>((rest + 127) << 23);
  return x < -87.0f ? 0.0f : x > 88.7f ? INFINITY : y;
}

HERD_INLINE float sigmoid(float x) { return 1 / (1 + exponential(-x)); }

}  // namespace herd::kernel
