#include "runtime/nn/one_query.h"

#include <type_traits>
#include <vector>

#include "runtime/nn/kernel_math.h"

namespace herd::kernel {
namespace {

// What one key head needs, kept from one to the next: its queries [group, e], their scores [group, count], their answers [group, e].
struct Scratch {
  std::vector<float> q, scores, sums;
};

// Scores to probabilities, in place. @param slope by which a key's score falls for each token that it lies behind.
HERD_INLINE void softmax(float* scores, Index count, float slope) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (Index j = 0; j < count; ++j) {
    scores[j] -= slope * static_cast<float>(count - 1 - j);
    most = scores[j] > most ? scores[j] : most;
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index j = 0; j < count; ++j) {
    scores[j] = exponential(scores[j] - most);
    sum += scores[j];
  }
  const float scale = 1 / sum;
#pragma omp simd
  for (Index j = 0; j < count; ++j) scores[j] *= scale;
}

// A key is read once for all the queries that share it.
template <class S, class K>
HERD_INLINE void one_head(const S* q, const Seen<K>& seen, S* out, const QueryShape& shape, Index kv_head, const float* slopes, Scratch& scratch) {
  const Index e = shape.width, group = shape.heads / shape.kv_heads, stride = shape.kv_heads * e, count = seen.count;
  scratch.scores.resize(static_cast<std::size_t>(group * count));
  float *queries = scratch.q.data(), *scores = scratch.scores.data(), *sums = scratch.sums.data();
  const float scale = 1 / std::sqrt(static_cast<float>(e));
  for (Index i = 0; i < group * e; ++i) queries[i] = load(q, i) * scale, sums[i] = 0;

  const auto scale_of = [&](const float* scales, Index j) { return std::is_same_v<K, std::int8_t> ? scales[j * shape.kv_heads + kv_head] : 1.0f; };
  const K* key = seen.keys + kv_head * e;
  for (Index j = 0; j < count; ++j, key += stride) {
    for (Index g = 0; g < group; ++g) {
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (Index i = 0; i < e; ++i) dot += queries[g * e + i] * load(key, i);
      scores[g * count + j] = dot * scale_of(seen.key_scales, j);
    }
  }
  for (Index g = 0; g < group; ++g) softmax(scores + g * count, count, slopes ? slopes[kv_head * group + g] : 0);
  const K* value = seen.values + kv_head * e;
  for (Index j = 0; j < count; ++j, value += stride) {
    for (Index g = 0; g < group; ++g) {
      const float p = scores[g * count + j] * scale_of(seen.value_scales, j);
#pragma omp simd
      for (Index i = 0; i < e; ++i) sums[g * e + i] += p * load(value, i);
    }
  }
  for (Index i = 0; i < group * e; ++i) store(out, i, sums[i]);
}

template <class S, class K>
HERD_INLINE void heads(const S* q, std::span<const Seen<K>> texts, S* out, const QueryShape& shape, const float* slopes, Index first, Index last) {
  const auto of_group = shape.heads / shape.kv_heads * shape.width;
  Scratch scratch;
  scratch.q.resize(static_cast<std::size_t>(of_group));
  scratch.sums.resize(static_cast<std::size_t>(of_group));
  for (Index i = first; i < last; ++i)
    one_head(q + i * of_group, texts[static_cast<std::size_t>(i / shape.kv_heads)], out + i * of_group, shape, i % shape.kv_heads, slopes, scratch);
}

}  // namespace

HERD_EVERY_CPU void one_query(const float* q, std::span<const Seen<float>> texts, float* out, const QueryShape& shape, const float* slopes, Index first, Index last) {
  heads(q, texts, out, shape, slopes, first, last);
}
HERD_EVERY_CPU void one_query(const Bf16* q, std::span<const Seen<Bf16>> texts, Bf16* out, const QueryShape& shape, const float* slopes, Index first, Index last) {
  heads(q, texts, out, shape, slopes, first, last);
}
HERD_EVERY_CPU void one_query(const float* q, std::span<const Seen<std::int8_t>> texts, float* out, const QueryShape& shape, const float* slopes, Index first, Index last) {
  heads(q, texts, out, shape, slopes, first, last);
}
HERD_EVERY_CPU void one_query(const Bf16* q, std::span<const Seen<std::int8_t>> texts, Bf16* out, const QueryShape& shape, const float* slopes, Index first, Index last) {
  heads(q, texts, out, shape, slopes, first, last);
}

}  // namespace herd::kernel
