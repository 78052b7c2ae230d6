#pragma once
#include <cstring>

#include "runtime/nn/kernel_math.h"

// Sixteen numbers at a time, in whatever registers the instruction set has for them.
namespace herd::kernel {

constexpr int kLanes = 16;
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));

HERD_INLINE void load(const float* p, Floats& to) { std::memcpy(&to, p, sizeof to); }
HERD_INLINE void load(const Bf16* p, Floats& to) {
  using Words = std::uint32_t __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
  using Halves = std::uint16_t __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));
  Halves bits;
  std::memcpy(&bits, p, sizeof bits);
  const Words words = __builtin_convertvector(bits, Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}
HERD_INLINE void load(const std::int8_t* p, Floats& to) {
  using Bytes = std::int8_t __attribute__((vector_size(kLanes)));
  Bytes bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  to = __builtin_convertvector(bytes, Floats);
}

/// The sums of four, each in the same order. By halves that are folded together: one after the other they would take as long as the products before them.
HERD_INLINE void sums_of(const Floats& a, const Floats& b, const Floats& c, const Floats& d, float* to) {
  const Floats ab = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  const Floats cd = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + __builtin_shufflevector(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  Floats all = __builtin_shufflevector(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) + __builtin_shufflevector(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  all += __builtin_shufflevector(all, all, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  all += __builtin_shufflevector(all, all, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  for (int i = 0; i < 4; ++i) to[i] = all[4 * i];
}

}  // namespace herd::kernel
