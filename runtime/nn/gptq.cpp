#include "runtime/nn/gptq.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/nn/every_cpu.h"

namespace herd::kernel {
namespace {

constexpr std::int64_t kChunk = 64;  // codes at a time; a group is seldom shorter than half of it
constexpr std::int64_t kTogether = 8;  // codes that fill whole bytes in any number of bits

HERD_INLINE void store(float* y, std::int64_t i, float v) { y[i] = v; }
HERD_INLINE void store(Bf16* y, std::int64_t i, float v) {
  const auto bits = std::bit_cast<std::uint32_t>(v);
  const auto rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  y[i].bits = static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

// fp16's exponent counts from −15, fp32's from −127: what lies between is a product, for subnormal numbers too.
HERD_INLINE float from_half(std::uint16_t half) {
  const auto sign = static_cast<std::uint32_t>(half & 0x8000u) << 16, rest = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
  const auto finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) * 0x1p112f);
  return std::bit_cast<float>(sign | ((half & 0x7c00u) == 0x7c00u ? rest | 0x7f800000u : finite));
}

template <int kBits>
HERD_INLINE std::uint8_t code_at(const std::uint8_t* packed, std::int64_t place) {
  const auto bit = place * kBits, shift = bit % 8;
  unsigned value = packed[bit / 8];
  if (shift + kBits > 8) value |= static_cast<unsigned>(packed[bit / 8 + 1]) << 8;
  return static_cast<std::uint8_t>((value >> shift) & ((1u << kBits) - 1));
}

// In a format of 32 bits eight codes are one vector, shifted lane by lane.
template <int kBits, class T>
HERD_INLINE void unpack(const std::uint8_t* packed, std::int64_t begin, std::int64_t n, T* codes) {
  std::int64_t i = 0;
  for (; i < n && (begin + i) % kTogether != 0; ++i) codes[i] = code_at<kBits>(packed, begin + i);
  for (; i + kTogether <= n; i += kTogether) {
    const auto* bytes = packed + (begin + i) / kTogether * kBits;
    if constexpr (kBits == 8) {
#pragma omp simd
      for (int k = 0; k < kTogether; ++k) codes[i + k] = bytes[k];
    } else {
      std::uint32_t together = 0;
      std::memcpy(&together, bytes, kBits);
#pragma omp simd
      for (int k = 0; k < kTogether; ++k) codes[i + k] = static_cast<T>((together >> (kBits * k)) & ((1u << kBits) - 1));
    }
  }
  for (; i < n; ++i) codes[i] = code_at<kBits>(packed, begin + i);
}

HERD_INLINE bool are_one_group(const std::int32_t* groups, std::int64_t n) {
  std::int32_t others = 0;
#pragma omp simd reduction(| : others)
  for (std::int64_t i = 0; i < n; ++i) others |= groups[i] ^ groups[0];
  return others == 0;
}

HERD_INLINE float value(const GroupedRow& row, std::int32_t group, std::int32_t code) {
  return from_half(row.scales[group]) * static_cast<float>(code - row.zeros[group]);
}

template <int kBits, class S>
HERD_INLINE void dequantise_all(const GroupedRow& row, std::int64_t begin, std::int64_t n, S* out) {
  std::int32_t codes[kChunk];
  for (std::int64_t at = 0; at < n; at += kChunk) {
    const auto count = std::min(kChunk, n - at);
    unpack<kBits>(row.codes, begin + at, count, codes);
    const auto* groups = row.groups + begin + at;
    if (are_one_group(groups, count)) {
      const float scale = from_half(row.scales[groups[0]]);
      const std::int32_t zero = row.zeros[groups[0]];
#pragma omp simd
      for (std::int64_t i = 0; i < count; ++i) store(out, at + i, scale * static_cast<float>(codes[i] - zero));
    } else {
      for (std::int64_t i = 0; i < count; ++i) store(out, at + i, value(row, groups[i], codes[i]));
    }
  }
}

// A chunk's numbers are summed in lanes, and the lanes when all is done.
template <int kBits>
HERD_INLINE float dot_all(const GroupedRow& row, const float* x, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  alignas(64) float lanes[kLanes] = {};
  std::int32_t codes[kChunk];
  float rest = 0;
  for (std::int64_t at = 0; at < n; at += kChunk) {
    const auto count = std::min(kChunk, n - at);
    unpack<kBits>(row.codes, at, count, codes);
    const auto* groups = row.groups + at;
    if (count == kChunk && are_one_group(groups, count)) {
      const float scale = from_half(row.scales[groups[0]]);
      const std::int32_t zero = row.zeros[groups[0]];
      for (std::int64_t i = 0; i < kChunk; i += kLanes) {
#pragma omp simd
        for (std::int64_t k = 0; k < kLanes; ++k) lanes[k] += scale * static_cast<float>(codes[i + k] - zero) * x[at + i + k];
      }
    } else {
      for (std::int64_t i = 0; i < count; ++i) rest += value(row, groups[i], codes[i]) * x[at + i];
    }
  }
  for (const float lane : lanes) rest += lane;
  return rest;
}

template <class S>
HERD_INLINE void dequantise_row(const GroupedRow& row, std::int64_t begin, std::int64_t n, S* out) {
  switch (row.bits) {
    case 2: return dequantise_all<2>(row, begin, n, out);
    case 3: return dequantise_all<3>(row, begin, n, out);
    case 4: return dequantise_all<4>(row, begin, n, out);
    default: return dequantise_all<8>(row, begin, n, out);
  }
}

}  // namespace

HERD_EVERY_CPU void dequantise(const GroupedRow& row, std::int64_t begin, std::int64_t n, float* out) { dequantise_row(row, begin, n, out); }
HERD_EVERY_CPU void dequantise(const GroupedRow& row, std::int64_t begin, std::int64_t n, Bf16* out) { dequantise_row(row, begin, n, out); }

HERD_EVERY_CPU float dot(const GroupedRow& row, const float* x, std::int64_t n) {
  switch (row.bits) {
    case 2: return dot_all<2>(row, x, n);
    case 3: return dot_all<3>(row, x, n);
    case 4: return dot_all<4>(row, x, n);
    default: return dot_all<8>(row, x, n);
  }
}

void pack_codes(int bits, const std::uint8_t* codes, std::int64_t n, std::uint8_t* packed) {
  std::memset(packed, 0, static_cast<std::size_t>(n * bits / 8));
  for (std::int64_t i = 0; i < n; ++i) {
    const auto bit = i * bits;
    const auto value = static_cast<unsigned>(codes[i]) << (bit % 8);
    packed[bit / 8] = static_cast<std::uint8_t>(packed[bit / 8] | (value & 255u));
    if (value > 255u) packed[bit / 8 + 1] = static_cast<std::uint8_t>(packed[bit / 8 + 1] | (value >> 8));
  }
}

void unpack_codes(int bits, const std::uint8_t* packed, std::int64_t begin, std::int64_t n, std::uint8_t* codes) {
  switch (bits) {
    case 2: return unpack<2>(packed, begin, n, codes);
    case 3: return unpack<3>(packed, begin, n, codes);
    case 4: return unpack<4>(packed, begin, n, codes);
    default: return unpack<8>(packed, begin, n, codes);
  }
}

}  // namespace herd::kernel
