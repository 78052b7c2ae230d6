#pragma once
#include <cstdint>

// The loops behind norm, rope, SwiGLU and cross-entropy on the CPU, over plain memory: each reads and writes its tensors once, where the same in
// tensor operations goes over them three to ten times. Compiled for several instruction sets, chosen when the program starts. Sums run in a fixed
// order: the same bits on any number of threads. Row matrices are contiguous.
namespace herd::kernel {

/// Storage of a bfloat16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

// Each for S = float and Bf16; arithmetic in fp32.

/// y = w · x · scale with scale = 1 / sqrt(mean(x²) + eps), kept a row. Rows [n, d], w [d], scales [n].
void rms_norm(const float* x, const float* w, float* y, float* scales, std::int64_t rows, std::int64_t d, float eps);
void rms_norm(const Bf16* x, const Bf16* w, Bf16* y, float* scales, std::int64_t rows, std::int64_t d, float eps);
/// The gradient of x from that of y.
void rms_norm_backward(const float* x, const float* w, const float* scales, const float* grad_y, float* grad_x, std::int64_t rows, std::int64_t d);
void rms_norm_backward(const Bf16* x, const Bf16* w, const float* scales, const Bf16* grad_y, Bf16* grad_x, std::int64_t rows, std::int64_t d);
/// Adds the gradient of w over these rows to grad_w [d].
void rms_norm_weight_gradient(const float* x, const float* scales, const float* grad_y, float* grad_w, std::int64_t rows, std::int64_t d);
void rms_norm_weight_gradient(const Bf16* x, const float* scales, const Bf16* grad_y, float* grad_w, std::int64_t rows, std::int64_t d);

/// y = gate · sigmoid(gate) · up, over n elements.
void silu_mul(const float* gate, const float* up, float* y, std::int64_t n);
void silu_mul(const Bf16* gate, const Bf16* up, Bf16* y, std::int64_t n);
void silu_mul_backward(const float* gate, const float* up, const float* grad_y, float* grad_gate, float* grad_up, std::int64_t n);
void silu_mul_backward(const Bf16* gate, const Bf16* up, const Bf16* grad_y, Bf16* grad_gate, Bf16* grad_up, std::int64_t n);

/// The heads of one token that `rotate` works on: `width` elements each, of which the first 2·half are rotated.
struct Heads {
  std::int64_t count, width, half;
  bool interleaved;  ///< pairs (2j, 2j + 1); else (j, j + half)
};
/// x has a stride between heads, y is contiguous; cos and sin [half]. @param direction 1 forward, −1 back.
void rotate(const float* x, std::int64_t head_stride, float* y, const Heads& heads, const float* cos, const float* sin, float direction);
void rotate(const Bf16* x, std::int64_t head_stride, Bf16* y, const Heads& heads, const float* cos, const float* sin, float direction);

/// −log softmax(logits)[target] of one row. With `scale` ≠ 0 the row's memory becomes its gradient, scale · (softmax − onehot).
double cross_entropy(float* logits, std::int64_t vocab, std::int64_t target, float scale);
double cross_entropy(Bf16* logits, std::int64_t vocab, std::int64_t target, float scale);

}  // namespace herd::kernel
