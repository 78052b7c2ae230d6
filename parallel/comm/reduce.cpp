#include "parallel/comm/reduce.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace herd {
namespace {

// Blocks small enough to stay in the first-level cache while the ranks' parts are added one after the other.
constexpr std::int64_t kBlock = 2048;

template <ReduceOp op, class Sum>
Sum combine(Sum a, Sum b) {
  if constexpr (op == ReduceOp::kSum) {
    if constexpr (std::is_integral_v<Sum>) {
      using Bits = std::make_unsigned_t<Sum>;
      return static_cast<Sum>(static_cast<Bits>(a) + static_cast<Bits>(b));
    } else {
      return a + b;
    }
  } else {
    const bool take = op == ReduceOp::kMax ? b > a : b < a;
    return take || b != b ? b : a;
  }
}

template <class T, class Sum, ReduceOp op>
void reduce(std::span<const void* const> sources, void* output, std::int64_t elements) {
  for (std::int64_t first = 0; first < elements; first += kBlock) {
    const auto count = std::min(kBlock, elements - first);
    Sum sum[kBlock];
    const T* source = static_cast<const T*>(sources[0]) + first;
    for (std::int64_t i = 0; i < count; ++i) sum[i] = static_cast<Sum>(source[i]);
    for (std::size_t r = 1; r < sources.size(); ++r) {
      source = static_cast<const T*>(sources[r]) + first;
      for (std::int64_t i = 0; i < count; ++i) sum[i] = combine<op>(sum[i], static_cast<Sum>(source[i]));
    }
    T* out = static_cast<T*>(output) + first;
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(sum[i]);
  }
}

template <class T, class Sum = T>
void reduce(ReduceOp op, std::span<const void* const> sources, void* output, std::int64_t elements) {
  switch (op) {
    case ReduceOp::kSum: return reduce<T, Sum, ReduceOp::kSum>(sources, output, elements);
    case ReduceOp::kMax: return reduce<T, Sum, ReduceOp::kMax>(sources, output, elements);
    case ReduceOp::kMin: return reduce<T, Sum, ReduceOp::kMin>(sources, output, elements);
  }
}

}  // namespace

void reduce_in_order(at::ScalarType dtype, ReduceOp op, std::span<const void* const> sources, void* output, std::int64_t elements) {
  switch (dtype) {
    case at::kFloat: return reduce<float>(op, sources, output, elements);
    case at::kDouble: return reduce<double>(op, sources, output, elements);
    case at::kBFloat16: return reduce<c10::BFloat16, float>(op, sources, output, elements);
    case at::kHalf: return reduce<c10::Half, float>(op, sources, output, elements);
    case at::kLong: return reduce<std::int64_t>(op, sources, output, elements);
    case at::kInt: return reduce<std::int32_t>(op, sources, output, elements);
    // A bool's sum never gets here, and max and min of 0 and 1 are those of bytes.
    case at::kByte: case at::kBool: return reduce<std::uint8_t>(op, sources, output, elements);
    default: throw ShapeError({.who = "reduction", .found = c10::toString(dtype), .expected = "a dtype that collectives take"});
  }
}

}  // namespace herd
