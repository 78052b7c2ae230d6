#include "runtime/nn/int8.h"

#include <bit>
#include <cmath>

#include "runtime/nn/every_cpu.h"

#if defined(__x86_64__)
// gcc 12 takes the undefined operands in its own header for a slip of the caller's (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#endif

namespace herd::kernel {
namespace {

constexpr float kOver127 = 1.0f / 127;

// To the nearest whole number, ties to even: adding 1.5 · 2²³ leaves no bits below one.
HERD_INLINE std::int8_t nearest(float x) {
  constexpr float kRound = 12582912.0f;
  return static_cast<std::int8_t>(static_cast<std::int32_t>(x + kRound - kRound));
}

HERD_INLINE void store(float* y, std::int64_t i, float v) { y[i] = v; }
HERD_INLINE void store(Bf16* y, std::int64_t i, float v) {
  const auto bits = std::bit_cast<std::uint32_t>(v);
  const auto rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  y[i].bits = static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

HERD_INLINE float greatest(const float* x, std::int64_t n, float below) {
  float most = 0;
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < n; ++i) {
    const float size = std::fabs(x[i]);
    most = size < below && most < size ? size : most;
  }
  return most;
}

template <class S>
HERD_INLINE void dequantise_all(const std::int8_t* codes, float absmax, std::int64_t n, S* out) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) store(out, i, static_cast<float>(codes[i]) * absmax * kOver127);
}

template <class S>
HERD_INLINE void scale_all(const std::int32_t* products, float x_absmax, const float* w_absmax, const float* rest, std::int64_t n, S* y) {
  const float scale = x_absmax * (kOver127 * kOver127);
  if (rest) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) store(y, i, static_cast<float>(products[i]) * (scale * w_absmax[i]) + rest[i]);
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) store(y, i, static_cast<float>(products[i]) * (scale * w_absmax[i]));
  }
}

std::int32_t plain_dot(const std::int8_t* a, const std::int8_t* b, std::int64_t n) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
using Dot = std::int32_t (*)(const std::int8_t*, const std::int8_t*, std::int64_t);

#if defined(__x86_64__)
#define HERD_AVX512 __attribute__((target("avx512f,avx512bw")))
#define HERD_AVX2 __attribute__((target("avx2")))

// Widened to 16 bits, of which two products fit a lane of 32: nothing saturates.
HERD_AVX512 inline __m512i wide_512(const std::int8_t* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
HERD_AVX512 std::int32_t dot_512(const std::int8_t* a, const std::int8_t* b, std::int64_t n) {
  auto first = _mm512_setzero_si512(), second = first;
  std::int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    first = _mm512_add_epi32(first, _mm512_madd_epi16(wide_512(a + i), wide_512(b + i)));
    second = _mm512_add_epi32(second, _mm512_madd_epi16(wide_512(a + i + 32), wide_512(b + i + 32)));
  }
  return _mm512_reduce_add_epi32(_mm512_add_epi32(first, second)) + plain_dot(a + i, b + i, n - i);
}

HERD_AVX2 inline __m256i wide_256(const std::int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
HERD_AVX2 std::int32_t dot_256(const std::int8_t* a, const std::int8_t* b, std::int64_t n) {
  auto first = _mm256_setzero_si256(), second = first;
  std::int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    first = _mm256_add_epi32(first, _mm256_madd_epi16(wide_256(a + i), wide_256(b + i)));
    second = _mm256_add_epi32(second, _mm256_madd_epi16(wide_256(a + i + 16), wide_256(b + i + 16)));
  }
  alignas(32) std::int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi32(first, second));
  auto sum = plain_dot(a + i, b + i, n - i);
  for (const auto lane : lanes) sum += lane;
  return sum;
}

Dot chosen_dot() { return __builtin_cpu_supports("x86-64-v4") ? dot_512 : __builtin_cpu_supports("x86-64-v3") ? dot_256 : plain_dot; }
#else
Dot chosen_dot() { return plain_dot; }
#endif

}  // namespace

HERD_EVERY_CPU float quantise_int8(const float* x, std::int64_t n, std::int8_t* codes) {
  const float most = greatest(x, n, INFINITY), factor = most > 0 ? 127 / most : 0;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) codes[i] = nearest(x[i] * factor);
  return most;
}

// What is not a number is left out as well: it shows in the result.
HERD_EVERY_CPU float quantise_int8(const float* x, std::int64_t n, float threshold, std::int8_t* codes, bool& left_out) {
  const float below = threshold > 0 ? threshold : INFINITY;
  const float most = greatest(x, n, below), factor = most > 0 ? 127 / most : 0;
  std::int32_t any = 0;
#pragma omp simd reduction(| : any)
  for (std::int64_t i = 0; i < n; ++i) {
    const bool stays = !(std::fabs(x[i]) < below);
    any |= stays ? 1 : 0;
    codes[i] = nearest(stays ? 0.0f : x[i] * factor);
  }
  left_out = any != 0;
  return most;
}

HERD_EVERY_CPU void dequantise(const std::int8_t* codes, float absmax, std::int64_t n, float* out) {
  dequantise_all(codes, absmax, n, out);
}
HERD_EVERY_CPU void dequantise(const std::int8_t* codes, float absmax, std::int64_t n, Bf16* out) { dequantise_all(codes, absmax, n, out); }

std::int32_t dot(const std::int8_t* a, const std::int8_t* b, std::int64_t n) {
  static const auto fastest = chosen_dot();
  return fastest(a, b, n);
}

HERD_EVERY_CPU void scale_products(const std::int32_t* products, float x_absmax, const float* w_absmax, const float* rest, std::int64_t n,
                                   float* y) {
  scale_all(products, x_absmax, w_absmax, rest, n, y);
}
HERD_EVERY_CPU void scale_products(const std::int32_t* products, float x_absmax, const float* w_absmax, const float* rest, std::int64_t n,
                                   Bf16* y) {
  scale_all(products, x_absmax, w_absmax, rest, n, y);
}

}  // namespace herd::kernel
