#include "runtime/nn/few_rows_bf16.h"

#include "runtime/nn/kernel_math.h"

#if defined(__x86_64__)
// gcc 12 takes the undefined operands in its own header for a slip of the caller's (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#define HERD_BF16_CPU __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace herd::kernel {
namespace {

constexpr Index kPairs = 32;  // numbers a register
constexpr int kNear = 2;

HERD_BF16_CPU inline __m512bh numbers(const Bf16* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); }
HERD_BF16_CPU inline __m512bh numbers(const Bf16* p, __mmask32 some) { return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(some, p)); }

// As few_rows.cpp's. @param first of the tiles of its outputs.
template <int R, int O>
HERD_BF16_CPU inline void tile(const Bf16* x, const Bf16* w, Bf16* y, Index in, Index out, bool first) {
  __m512 sums[R][O];
  for (int r = 0; r < R; ++r)
    for (int o = 0; o < O; ++o) sums[r][o] = _mm512_setzero_ps();
  Index i = 0;
  for (; i + kPairs <= in; i += kPairs) {
    __m512bh weights[O];
    for (int o = 0; o < O; ++o) weights[o] = numbers(w + o * in + i);
    if (first)
      for (int o = 0; o < O; ++o) __builtin_prefetch(w + (O + o) * in + i, 0, kNear);
    for (int r = 0; r < R; ++r) {
      const auto row = numbers(x + r * in + i);
      for (int o = 0; o < O; ++o) sums[r][o] = _mm512_dpbf16_ps(sums[r][o], row, weights[o]);
    }
  }
  if (i < in) {
    const auto rest = static_cast<__mmask32>((std::uint64_t{1} << (in - i)) - 1);
    for (int r = 0; r < R; ++r)
      for (int o = 0; o < O; ++o) sums[r][o] = _mm512_dpbf16_ps(sums[r][o], numbers(x + r * in + i, rest), numbers(w + o * in + i, rest));
  }
  for (int r = 0; r < R; ++r)
    for (int o = 0; o < O; ++o) y[r * out + o].bits = bf16_bits(_mm512_reduce_add_ps(sums[r][o]));
}

template <int O>
HERD_BF16_CPU inline void outputs(const Bf16* x, const Bf16* w, Bf16* y, Index rows, Index in, Index out) {
  bool first = true;
  for (; rows >= 6; rows -= 6, x += 6 * in, y += 6 * out, first = false) tile<6, O>(x, w, y, in, out, first);
  if (rows >= 4) tile<4, O>(x, w, y, in, out, first), rows -= 4, x += 4 * in, y += 4 * out, first = false;
  if (rows == 3) tile<3, O>(x, w, y, in, out, first);
  else if (rows == 2) tile<2, O>(x, w, y, in, out, first);
  else if (rows == 1) tile<1, O>(x, w, y, in, out, first);
}

}  // namespace

bool has_bf16_products() { return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512bf16"); }

HERD_BF16_CPU void few_rows_bf16(const Bf16* x, const Bf16* w, Bf16* y, Index rows, Index in, Index out, Index first, Index last) {
  for (Index o = first; o < last;) {
    if (o + 4 <= last) outputs<4>(x, w + o * in, y + o, rows, in, out), o += 4;
    else outputs<1>(x, w + o * in, y + o, rows, in, out), o += 1;
  }
}

}  // namespace herd::kernel
#else
namespace herd::kernel {
bool has_bf16_products() { return false; }
void few_rows_bf16(const Bf16*, const Bf16*, Bf16*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t) {}
}  // namespace herd::kernel
#endif
