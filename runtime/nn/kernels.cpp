#include "runtime/nn/kernels.h"

#include <bit>
#include <cmath>

#include "runtime/nn/every_cpu.h"

namespace herd::kernel {
namespace {

using Index = std::int64_t;

HERD_INLINE float load(const float* p, Index i) { return p[i]; }
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

template <class S>
HERD_INLINE void rms_norm_rows(const S* x, const S* w, S* y, float* scales, Index rows, Index d, float eps) {
  for (Index row = 0; row < rows; ++row, x += d, y += d) {
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (Index i = 0; i < d; ++i) squares += load(x, i) * load(x, i);
    const float scale = 1 / std::sqrt(squares / static_cast<float>(d) + eps);
    scales[row] = scale;
#pragma omp simd
    for (Index i = 0; i < d; ++i) store(y, i, load(w, i) * rounded(x, load(x, i) * scale));
  }
}

// With n = x · scale: grad_x = scale · (g·w − n · mean(g·w·n)).
template <class S>
HERD_INLINE void rms_norm_backward_rows(const S* x, const S* w, const float* scales, const S* g, S* grad_x, Index rows, Index d) {
  for (Index row = 0; row < rows; ++row, x += d, g += d, grad_x += d) {
    const float scale = scales[row];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (Index i = 0; i < d; ++i) dot += load(g, i) * load(w, i) * load(x, i);
    const float along = dot * scale * scale / static_cast<float>(d);
#pragma omp simd
    for (Index i = 0; i < d; ++i) store(grad_x, i, scale * (load(g, i) * load(w, i) - load(x, i) * along));
  }
}

template <class S>
HERD_INLINE void rms_norm_weight_gradient_rows(const S* x, const float* scales, const S* g, float* grad_w, Index rows, Index d) {
  for (Index row = 0; row < rows; ++row, x += d, g += d) {
    const float scale = scales[row];
#pragma omp simd
    for (Index i = 0; i < d; ++i) grad_w[i] += load(g, i) * load(x, i) * scale;
  }
}

template <class S>
HERD_INLINE void silu_mul_all(const S* gate, const S* up, S* y, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) store(y, i, load(gate, i) * sigmoid(load(gate, i)) * load(up, i));
}

template <class S>
HERD_INLINE void silu_mul_backward_all(const S* gate, const S* up, const S* g, S* grad_gate, S* grad_up, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) {
    const float a = load(gate, i), s = sigmoid(a), b = load(g, i);
    store(grad_up, i, b * a * s);
    store(grad_gate, i, b * load(up, i) * s * (1 + a * (1 - s)));
  }
}

// `step` between a pair's two elements, `stride` between pairs: (half, 1) or (1, 2).
template <class S>
HERD_INLINE void rotate_pairs(const S* x, S* y, Index half, Index step, Index stride, const float* cos, const float* sin, float direction) {
#pragma omp simd
  for (Index i = 0; i < half; ++i) {
    const float a = load(x, i * stride), b = load(x, i * stride + step), s = sin[i] * direction;
    store(y, i * stride, a * cos[i] - b * s);
    store(y, i * stride + step, b * cos[i] + a * s);
  }
}

template <class S>
HERD_INLINE void rotate_heads(const S* x, Index head_stride, S* y, const Heads& heads, const float* cos, const float* sin, float direction) {
  for (Index head = 0; head < heads.count; ++head, x += head_stride, y += heads.width) {
    if (heads.interleaved) rotate_pairs(x, y, heads.half, 1, 2, cos, sin, direction);
    else rotate_pairs(x, y, heads.half, heads.half, 1, cos, sin, direction);
    for (Index i = 2 * heads.half; i < heads.width; ++i) y[i] = x[i];
  }
}

template <class S>
HERD_INLINE double cross_entropy_row(S* logits, Index vocab, Index target, float scale) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (Index i = 0; i < vocab; ++i) most = load(logits, i) > most ? load(logits, i) : most;
  // Some thousand terms a partial sum: fp32 alone would lose digits over a vocabulary of 100,000.
  constexpr Index kPart = 4096;
  double sum = 0;
  for (Index begin = 0; begin < vocab; begin += kPart) {
    const Index end = begin + kPart < vocab ? begin + kPart : vocab;
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (Index i = begin; i < end; ++i) part += exponential(load(logits, i) - most);
    sum += part;
  }
  const double loss = std::log(sum) + most - load(logits, target);
  if (scale == 0) return loss;
  const float factor = static_cast<float>(scale / sum);
  const float hit = exponential(load(logits, target) - most) * factor - scale;
#pragma omp simd
  for (Index i = 0; i < vocab; ++i) store(logits, i, exponential(load(logits, i) - most) * factor);
  store(logits, target, hit);
  return loss;
}

}  // namespace

#define HERD_FOR_STORAGE(S)                                                                                                                \
  HERD_EVERY_CPU void rms_norm(const S* x, const S* w, S* y, float* scales, Index rows, Index d, float eps) {                              \
    rms_norm_rows(x, w, y, scales, rows, d, eps);                                                                                          \
  }                                                                                                                                        \
  HERD_EVERY_CPU void rms_norm_backward(const S* x, const S* w, const float* scales, const S* grad_y, S* grad_x, Index rows, Index d) {    \
    rms_norm_backward_rows(x, w, scales, grad_y, grad_x, rows, d);                                                                         \
  }                                                                                                                                        \
  HERD_EVERY_CPU void rms_norm_weight_gradient(const S* x, const float* scales, const S* grad_y, float* grad_w, Index rows, Index d) {     \
    rms_norm_weight_gradient_rows(x, scales, grad_y, grad_w, rows, d);                                                                     \
  }                                                                                                                                        \
  HERD_EVERY_CPU void silu_mul(const S* gate, const S* up, S* y, Index n) { silu_mul_all(gate, up, y, n); }                                \
  HERD_EVERY_CPU void silu_mul_backward(const S* gate, const S* up, const S* grad_y, S* grad_gate, S* grad_up, Index n) {                  \
    silu_mul_backward_all(gate, up, grad_y, grad_gate, grad_up, n);                                                                        \
  }                                                                                                                                        \
  HERD_EVERY_CPU void rotate(const S* x, Index head_stride, S* y, const Heads& heads, const float* cos, const float* sin, float direction) { \
    rotate_heads(x, head_stride, y, heads, cos, sin, direction);                                                                           \
  }                                                                                                                                        \
  HERD_EVERY_CPU double cross_entropy(S* logits, Index vocab, Index target, float scale) { return cross_entropy_row(logits, vocab, target, scale); }

HERD_FOR_STORAGE(float)
HERD_FOR_STORAGE(Bf16)

}  // namespace herd::kernel
