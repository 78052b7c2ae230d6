#include "runtime/nn/kernel_math.h"

namespace herd::kernel {
namespace {

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
