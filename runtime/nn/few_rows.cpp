#include "runtime/nn/few_rows.h"

#include <vector>

#include "runtime/nn/few_rows_bf16.h"
#include "runtime/nn/lanes.h"

namespace herd::kernel {
namespace {

constexpr int kNear = 2;  // into the second cache: the first holds x

// R rows by O outputs, all sums in registers: each number of the weight is used R times, each of x O times.
// @param first of the tiles of its outputs.
template <int R, int O, class W, class S>
HERD_INLINE void tile(const float* x, const W* w, S* y, Index in, Index out, bool first) {
  Floats sums[R][O < 4 ? 4 : O] = {};
  Index i = 0;
  for (; i + kLanes <= in; i += kLanes) {
    Floats weights[O];
    for (int o = 0; o < O; ++o) load(w + o * in + i, weights[o]);
    if (first)  // the next outputs' weights: rows are too short for the processor to see the stream
      for (int o = 0; o < O; ++o) __builtin_prefetch(w + (O + o) * in + i, 0, kNear);
    for (int r = 0; r < R; ++r) {
      Floats numbers;
      load(x + r * in + i, numbers);
      for (int o = 0; o < O; ++o) sums[r][o] += numbers * weights[o];
    }
  }
  for (int r = 0; r < R; ++r) {
    float sum[4];
    sums_of(sums[r][0], sums[r][1], sums[r][2], sums[r][3], sum);
    for (int o = 0; o < O; ++o) {
      for (Index j = i; j < in; ++j) sum[o] += x[r * in + j] * kernel::load(w, o * in + j);
      store(y, r * out + o, sum[o]);
    }
  }
}

// O outputs for all rows, while their weights are in the cache. @param first as tile's: false where w is no memory of the weight.
template <int O, class W, class S>
HERD_INLINE void outputs(const float* x, const W* w, S* y, Index rows, Index in, Index out, bool first) {
  for (; rows >= 6; rows -= 6, x += 6 * in, y += 6 * out, first = false) tile<6, O>(x, w, y, in, out, first);
  if (rows >= 4) tile<4, O>(x, w, y, in, out, first), rows -= 4, x += 4 * in, y += 4 * out, first = false;
  if (rows == 3) tile<3, O>(x, w, y, in, out, first);
  else if (rows == 2) tile<2, O>(x, w, y, in, out, first);
  else if (rows == 1) tile<1, O>(x, w, y, in, out, first);
}

// Weights that several tiles want are made wide once.
template <int O, class S>
HERD_INLINE void widened(const float* x, const Bf16* w, S* y, Index rows, Index in, Index out, float* wide) {
  if (rows <= 6) return outputs<O>(x, w, y, rows, in, out, true);
  constexpr Index kLine = 64 / sizeof(Bf16);
  for (Index begin = 0; begin < O * in; begin += kLine) {
    __builtin_prefetch(w + O * in + begin, 0, kNear);
    const Index end = begin + kLine < O * in ? begin + kLine : O * in;
#pragma omp simd
    for (Index i = begin; i < end; ++i) wide[i] = kernel::load(w, i);
  }
  outputs<O>(x, wide, y, rows, in, out, false);
}
template <int O>
HERD_INLINE void widened(const float* x, const float* w, float* y, Index rows, Index in, Index out, float*) {
  outputs<O>(x, w, y, rows, in, out, true);
}

template <class S>
HERD_INLINE void all(const float* x, const S* w, S* y, Index rows, Index in, Index out, Index first, Index last) {
  std::vector<float> wide(sizeof(S) == sizeof(Bf16) && rows > 6 ? static_cast<std::size_t>(4 * in) : 0);
  for (Index o = first; o < last;) {
    if (o + 4 <= last) widened<4>(x, w + o * in, y + o, rows, in, out, wide.data()), o += 4;
    else widened<1>(x, w + o * in, y + o, rows, in, out, wide.data()), o += 1;
  }
}

}  // namespace

HERD_EVERY_CPU void few_rows(const float* x, const float* w, float* y, Index rows, Index in, Index out, Index first, Index last) {
  all(x, w, y, rows, in, out, first, last);
}

HERD_EVERY_CPU void few_rows_widened(const Bf16* x, const Bf16* w, Bf16* y, Index rows, Index in, Index out, Index first, Index last) {
  std::vector<float> wide(static_cast<std::size_t>(rows * in));
  for (Index i = 0; i < rows * in; ++i) wide[static_cast<std::size_t>(i)] = kernel::load(x, i);
  all(wide.data(), w, y, rows, in, out, first, last);
}

void few_rows(const Bf16* x, const Bf16* w, Bf16* y, Index rows, Index in, Index out, Index first, Index last) {
  static const bool products = has_bf16_products();
  if (products) few_rows_bf16(x, w, y, rows, in, out, first, last);
  else few_rows_widened(x, w, y, rows, in, out, first, last);
}

}  // namespace herd::kernel
