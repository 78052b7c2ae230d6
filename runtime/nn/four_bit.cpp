#include "runtime/nn/four_bit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "runtime/nn/every_cpu.h"
#include "runtime/nn/four_bit_vectors.h"

namespace herd::kernel {
namespace {

// Of a block's magnitude; a block of zeros has one too.
HERD_INLINE float inverse(float magnitude) { return 1 / (magnitude < 1e-38f ? 1e-38f : magnitude); }

FourBitBook make_book(const std::array<float, 16>& values, const std::array<std::uint8_t, 16>& ascending) {
  FourBitBook book{.values = values, .thresholds = {}, .codes = ascending};
  for (std::size_t i = 0; i + 1 < ascending.size(); ++i) book.thresholds[i] = (values[ascending[i]] + values[ascending[i + 1]]) / 2;
  return book;
}

// The stretch cut where blocks end: f(first number, count, scale).
template <class F>
void each_block(const FourBitStretch& w, F f) {
  const auto end = w.begin + w.n;
  const auto* scale = w.absmax;
  for (auto at = w.begin; at < end; ++scale) {
    const auto to = std::min(end, ((at >> w.block_bits) + 1) << w.block_bits);
    f(at, to - at, *scale);
    at = to;
  }
}

std::uint16_t bf16_of(float v) {
  const auto bits = std::bit_cast<std::uint32_t>(v);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);  // products of finite numbers: no NaN comes here
}
void put(float* out, float v) { *out = v; }
void put(Bf16* out, float v) { out->bits = bf16_of(v); }

const FourBitVectors* fastest() { return four_bit_vectors().empty() ? nullptr : &four_bit_vectors().front(); }

template <class S>
void dequantise_to(const FourBitVectors* vectors, const FourBitStretch& w, S* out) {
  if (vectors) return vectors->dequantise(w, out);
  each_block(w, [&](std::int64_t at, std::int64_t count, float scale) {
    const auto* codes = w.codes + at / 2;
    auto* to = out + (at - w.begin);
    for (std::int64_t i = 0; i < count; i += 2) {
      put(to + i, w.book->values[codes[i / 2] >> 4] * scale);
      put(to + i + 1, w.book->values[codes[i / 2] & 15] * scale);
    }
  });
}

// A decade of the map: 0.1 to 1 in equal parts, of which the middles count. The edges are rounded once each and counted from the nearer
// end, the rest is fp32: others' values to the bit.
void add_decade(std::vector<float>& values, int exponent, int parts) {
  const double step = (1.0f - 0.1f) / static_cast<float>(parts);
  const auto edge = [&](int i) { return static_cast<float>(i < (parts + 1) / 2 ? 0.1f + step * i : 1.0 - step * (parts - i)); };
  const auto power = static_cast<float>(std::pow(10.0, exponent));
  for (int i = 0; i < parts; ++i) {
    const float middle = (edge(i) + edge(i + 1)) / 2;
    values.push_back(power * middle);
    values.push_back(-power * middle);
  }
}

std::array<float, 256> make_dynamic_book() {
  std::vector<float> values{0, 1};
  for (int i = 0; i < 7; ++i) add_decade(values, i - 6, 1 << i);
  std::sort(values.begin(), values.end());
  std::array<float, 256> book{};
  std::copy(values.begin(), values.end(), book.begin());
  return book;
}

}  // namespace

const FourBitBook& nf4_book() {
  static const FourBitBook book =
      make_book({-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
                 -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
                 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
                {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  return book;
}

const FourBitBook& fp4_book() {
  static const FourBitBook book = [] {
    std::array<float, 16> values{0, 0.0625f, 8, 12, 4, 6, 2, 3};
    for (std::size_t i = 1; i < 8; ++i) values[i] /= 12, values[i + 8] = -values[i];  // both zeros are positive
    return make_book(values, {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3});
  }();
  return book;
}

HERD_EVERY_CPU float greatest_magnitude(const float* x, std::int64_t n) {
  float most = 0;
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < n; ++i) most = most < std::fabs(x[i]) ? std::fabs(x[i]) : most;
  return most;
}

HERD_EVERY_CPU void quantise_four_bit(const FourBitBook& book, const float* x, std::int64_t n, std::uint8_t* codes) {
  constexpr std::int64_t kPart = 64;
  std::int32_t places[kPart];
  const float factor = inverse(greatest_magnitude(x, n));
  for (std::int64_t part = 0; part < n; part += kPart) {
    const auto count = n - part < kPart ? n - part : kPart;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      const float scaled = x[part + i] * factor;  // beyond ±1 by a rounding alone, where the outermost values are
      std::int32_t place = 0;
      for (int t = 0; t < 15; ++t) place += scaled > book.thresholds[static_cast<std::size_t>(t)] ? 1 : 0;
      places[i] = place;
    }
    const auto code = [&](std::int64_t i) { return book.codes[static_cast<std::size_t>(places[i])]; };
    for (std::int64_t i = 0; i < count; i += 2) codes[(part + i) / 2] = static_cast<std::uint8_t>(code(i) << 4 | code(i + 1));
  }
}

void dequantise(const FourBitStretch& w, float* out) { dequantise_to(fastest(), w, out); }
void dequantise(const FourBitStretch& w, Bf16* out) { dequantise_to(fastest(), w, out); }
float dot(const FourBitStretch& w, const float* x_even, const float* x_odd) { return dot_with(fastest(), w, x_even, x_odd); }

void dequantise_with(const FourBitVectors* vectors, const FourBitStretch& w, float* out) { dequantise_to(vectors, w, out); }
void dequantise_with(const FourBitVectors* vectors, const FourBitStretch& w, Bf16* out) { dequantise_to(vectors, w, out); }

float dot_with(const FourBitVectors* vectors, const FourBitStretch& w, const float* x_even, const float* x_odd) {
  if (vectors) return vectors->dot(w, x_even, x_odd);
  float sum = 0;
  each_block(w, [&](std::int64_t at, std::int64_t count, float scale) {
    const auto* codes = w.codes + at / 2;
    const auto from = (at - w.begin) / 2;
    float part = 0;
    for (std::int64_t i = 0; i < count / 2; ++i)
      part += w.book->values[codes[i] >> 4] * x_even[from + i] + w.book->values[codes[i] & 15] * x_odd[from + i];
    sum += part * scale;
  });
  return sum;
}

void expand_absmax(const std::uint8_t* codes, const float* nested, float offset, std::int64_t begin, std::int64_t n, float* absmax) {
  const auto* book = dynamic_book().data();
  const auto end = begin + n;
  for (auto i = begin; i < end;) {
    const auto to = std::min(end, (i / kNestedBlock + 1) * kNestedBlock);
    const float scale = nested[i / kNestedBlock];
    for (; i < to; ++i) *absmax++ = book[codes[i]] * scale + offset;
  }
}

const std::array<float, 256>& dynamic_book() {
  static const std::array<float, 256> book = make_dynamic_book();
  return book;
}

float quantise_dynamic(const float* x, std::int64_t n, std::uint8_t* codes) {
  static const std::array<float, 255> thresholds = [] {
    std::array<float, 255> halves{};
    for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = (dynamic_book()[i] + dynamic_book()[i + 1]) / 2;
    return halves;
  }();
  const float most = greatest_magnitude(x, n), factor = inverse(most);
  for (std::int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<std::uint8_t>(std::lower_bound(thresholds.begin(), thresholds.end(), x[i] * factor) - thresholds.begin());
  return most;
}

}  // namespace herd::kernel
