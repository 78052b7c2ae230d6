#pragma once
#include <cstdint>
#include <span>

#include "runtime/nn/kernels.h"

// Attention of one new token a text on the CPU, where tensor operations cost more to call than to do.
namespace herd::kernel {

/// The keys and values that one text's token sees: [count, k, e] each, contiguous; the token's own are the last.
template <class K>
struct Seen {
  const K* keys;
  const K* values;
  std::int64_t count;
  const float* key_scales = nullptr;  ///< of int8: [count, k], what a code stands for
  const float* value_scales = nullptr;
};

struct QueryShape {
  std::int64_t heads, kv_heads, width;
};

/// softmax(q·kᵀ/√e − slope · distance) v of queries q [texts, h, e] to out [texts, h, e], for the key heads [first, last) of all, text by text.
/// Sums are fp32, in a fixed order: a text's numbers are the same whatever stands beside it, on any number of threads.
/// @param slopes [h] (ALiBi), or null.
void one_query(const float* q, std::span<const Seen<float>> texts, float* out, const QueryShape& shape, const float* slopes, std::int64_t first, std::int64_t last);
void one_query(const Bf16* q, std::span<const Seen<Bf16>> texts, Bf16* out, const QueryShape& shape, const float* slopes, std::int64_t first, std::int64_t last);
void one_query(const float* q, std::span<const Seen<std::int8_t>> texts, float* out, const QueryShape& shape, const float* slopes, std::int64_t first, std::int64_t last);
void one_query(const Bf16* q, std::span<const Seen<std::int8_t>> texts, Bf16* out, const QueryShape& shape, const float* slopes, std::int64_t first, std::int64_t last);

}  // namespace herd::kernel
