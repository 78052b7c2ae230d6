#include "runtime/nn/four_bit_vectors.h"

#include <algorithm>

#if defined(__x86_64__)
// gcc 12 takes the undefined operands in its own header for a slip of the caller's (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

// e even, o odd places. A byte holds an even place's code in its upper half and the next odd place's in its lower.
namespace herd::kernel {
namespace {

#define HERD_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define HERD_AVX2 __attribute__((target("avx2,fma")))

// Codes of 32 numbers as one of 16 lanes: the table's index is a lane's lowest four bits, whatever stands above.
struct Lanes512 {
  __m512 e, o;
};
HERD_AVX512 inline Lanes512 look_up(__m512 values, const std::uint8_t* codes) {
  const auto bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  return {_mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), values), _mm512_permutexvar_ps(bytes, values)};
}

// To the nearest, ties to even; in the upper half of a lane, the lower is what was cut off.
HERD_AVX512 inline __m512i rounded(__m512 x) {
  const auto bits = _mm512_castps_si512(x);
  const auto odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  return _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
}

// Blocks begin at multiples of 32 or more: whole groups of 32 have one scale. What stands before the first and after the last such group
// goes the plain way.
struct Groups {
  std::int64_t begin, end;
};
Groups whole_groups(const FourBitStretch& w, std::int64_t group) {
  const auto end = w.begin + w.n, begin = std::min(end, (w.begin + group - 1) & -group);
  return {begin, std::max(begin, end & -group)};
}
FourBitStretch part(const FourBitStretch& w, std::int64_t begin, std::int64_t end) {
  return {w.book, w.block_bits, w.codes, w.absmax + ((begin >> w.block_bits) - (w.begin >> w.block_bits)), begin, end - begin};
}
template <class S>
void ends(const FourBitStretch& w, const Groups& whole, S* out) {
  if (whole.begin > w.begin) dequantise_with(nullptr, part(w, w.begin, whole.begin), out);
  if (whole.end < w.begin + w.n) dequantise_with(nullptr, part(w, whole.end, w.begin + w.n), out + (whole.end - w.begin));
}
float ends(const FourBitStretch& w, const Groups& whole, const float* x_even, const float* x_odd) {
  float sum = 0;
  if (whole.begin > w.begin) sum += dot_with(nullptr, part(w, w.begin, whole.begin), x_even, x_odd);
  const auto after = (whole.end - w.begin) / 2;
  if (whole.end < w.begin + w.n) sum += dot_with(nullptr, part(w, whole.end, w.begin + w.n), x_even + after, x_odd + after);
  return sum;
}

HERD_AVX512 void dequantise_fp32_512(const FourBitStretch& w, float* out) {
  const auto whole = whole_groups(w, 32);
  ends(w, whole, out);
  const auto table = _mm512_loadu_ps(w.book->values.data());
  const auto first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const auto second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  for (auto at = whole.begin; at < whole.end; at += 32) {
    const auto factor = _mm512_set1_ps(absmax[at >> w.block_bits]);
    const auto [e, o] = look_up(table, w.codes + (at >> 1));
    const auto se = _mm512_mul_ps(e, factor), so = _mm512_mul_ps(o, factor);
    auto* to = out + (at - w.begin);
    _mm512_storeu_ps(to, _mm512_permutex2var_ps(se, first, so));
    _mm512_storeu_ps(to + 16, _mm512_permutex2var_ps(se, second, so));
  }
}

HERD_AVX512 void dequantise_bf16_512(const FourBitStretch& w, Bf16* out) {
  const auto whole = whole_groups(w, 32);
  ends(w, whole, out);
  const auto table = _mm512_loadu_ps(w.book->values.data());
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  for (auto at = whole.begin; at < whole.end;) {
    // A block's sixteen products are rounded, not each number: a lane holds an even and an odd place's bf16.
    const auto products = rounded(_mm512_mul_ps(table, _mm512_set1_ps(absmax[at >> w.block_bits])));
    const auto to = std::min(whole.end, ((at >> w.block_bits) + 1) << w.block_bits);
    for (; at < to; at += 32) {
      const auto bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w.codes + (at >> 1))));
      const auto e = _mm512_permutexvar_epi32(_mm512_srli_epi32(bytes, 4), products), o = _mm512_permutexvar_epi32(bytes, products);
      _mm512_storeu_si512(out + (at - w.begin), _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(e, 16), o));
    }
  }
}

// Four sums, so that an addition does not wait for the one before it.
HERD_AVX512 float dot_512(const FourBitStretch& w, const float* x_even, const float* x_odd) {
  const auto whole = whole_groups(w, 32);
  const auto table = _mm512_loadu_ps(w.book->values.data());
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  const auto bits = w.block_bits;
  const auto* codes = w.codes + (whole.begin >> 1);
  const auto *xe = x_even + ((whole.begin - w.begin) >> 1), *xo = x_odd + ((whole.begin - w.begin) >> 1);
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  auto at = whole.begin;
  for (; at + 128 <= whole.end; at += 128, codes += 64, xe += 64, xo += 64)
    for (int i = 0; i < 4; ++i) {
      const auto [e, o] = look_up(table, codes + 16 * i);
      const auto product = _mm512_fmadd_ps(e, _mm512_loadu_ps(xe + 16 * i), _mm512_mul_ps(o, _mm512_loadu_ps(xo + 16 * i)));
      sums[i] = _mm512_fmadd_ps(product, _mm512_set1_ps(absmax[(at + 32 * i) >> bits]), sums[i]);
    }
  for (; at < whole.end; at += 32, codes += 16, xe += 16, xo += 16) {
    const auto [e, o] = look_up(table, codes);
    const auto product = _mm512_fmadd_ps(e, _mm512_loadu_ps(xe), _mm512_mul_ps(o, _mm512_loadu_ps(xo)));
    sums[0] = _mm512_fmadd_ps(product, _mm512_set1_ps(absmax[at >> bits]), sums[0]);
  }
  const auto sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
  return _mm512_reduce_add_ps(sum) + ends(w, whole, x_even, x_odd);
}

struct Lanes256 {
  __m256 e, o;
};
struct Table256 {
  __m256 low, high;
};
HERD_AVX2 inline __m256 pick(const Table256& table, __m256i codes) {
  const auto upper = _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28));  // bit 3 becomes the sign, which blends
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, codes), _mm256_permutevar8x32_ps(table.high, codes), upper);
}
HERD_AVX2 inline Lanes256 look_up(const Table256& table, const std::uint8_t* codes) {
  const auto bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
  return {pick(table, _mm256_srli_epi32(bytes, 4)), pick(table, bytes)};
}

HERD_AVX2 void dequantise_fp32_256(const FourBitStretch& w, float* out) {
  const auto whole = whole_groups(w, 16);
  ends(w, whole, out);
  const Table256 table{_mm256_loadu_ps(w.book->values.data()), _mm256_loadu_ps(w.book->values.data() + 8)};
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  for (auto at = whole.begin; at < whole.end; at += 16) {
    const auto factor = _mm256_set1_ps(absmax[at >> w.block_bits]);
    const auto [e, o] = look_up(table, w.codes + (at >> 1));
    const auto se = _mm256_mul_ps(e, factor), so = _mm256_mul_ps(o, factor);
    const auto low = _mm256_unpacklo_ps(se, so), high = _mm256_unpackhi_ps(se, so);
    _mm256_storeu_ps(out + (at - w.begin), _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_storeu_ps(out + (at - w.begin) + 8, _mm256_permute2f128_ps(low, high, 0x31));
  }
}

HERD_AVX2 inline __m256i rounded(__m256 x) {
  const auto bits = _mm256_castps_si256(x);
  const auto odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}

HERD_AVX2 void dequantise_bf16_256(const FourBitStretch& w, Bf16* out) {
  const auto whole = whole_groups(w, 16);
  ends(w, whole, out);
  const Table256 table{_mm256_loadu_ps(w.book->values.data()), _mm256_loadu_ps(w.book->values.data() + 8)};
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  for (auto at = whole.begin; at < whole.end; at += 16) {
    const auto factor = _mm256_set1_ps(absmax[at >> w.block_bits]);
    const auto [e, o] = look_up(table, w.codes + (at >> 1));
    const auto be = rounded(_mm256_mul_ps(e, factor)), bo = rounded(_mm256_mul_ps(o, factor));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (at - w.begin)), _mm256_blend_epi16(_mm256_srli_epi32(be, 16), bo, 0xaa));
  }
}

HERD_AVX2 float dot_256(const FourBitStretch& w, const float* x_even, const float* x_odd) {
  const auto whole = whole_groups(w, 16);
  const Table256 table{_mm256_loadu_ps(w.book->values.data()), _mm256_loadu_ps(w.book->values.data() + 8)};
  const auto* absmax = w.absmax - (w.begin >> w.block_bits);
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (auto at = whole.begin; at < whole.end; at += 16) {
    const auto i = (at - w.begin) >> 1;
    const auto [e, o] = look_up(table, w.codes + (at >> 1));
    const auto product = _mm256_fmadd_ps(e, _mm256_loadu_ps(x_even + i), _mm256_mul_ps(o, _mm256_loadu_ps(x_odd + i)));
    auto& sum = sums[(at >> 4) & 1];
    sum = _mm256_fmadd_ps(product, _mm256_set1_ps(absmax[at >> w.block_bits]), sum);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, _mm256_add_ps(sums[0], sums[1]));
  float all = ends(w, whole, x_even, x_odd);
  for (const float lane : lanes) all += lane;
  return all;
}

}  // namespace

std::span<const FourBitVectors> four_bit_vectors() {
  static constexpr FourBitVectors all[]{{dequantise_fp32_512, dequantise_bf16_512, dot_512},
                                        {dequantise_fp32_256, dequantise_bf16_256, dot_256}};
  static const std::size_t beyond = __builtin_cpu_supports("x86-64-v4") ? 0 : __builtin_cpu_supports("x86-64-v3") ? 1 : 2;
  return std::span(all).subspan(beyond);
}

}  // namespace herd::kernel

#else

namespace herd::kernel {
std::span<const FourBitVectors> four_bit_vectors() { return {}; }
}  // namespace herd::kernel

#endif
