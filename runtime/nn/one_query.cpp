#include "runtime/nn/one_query.h"

#include <type_traits>
#include <vector>

#include "runtime/nn/lanes.h"

namespace herd::kernel {
namespace {

// What one key head needs, kept from one to the next: its queries [group, e], the scores of some of them [count] each, their answers [group, e].
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

// Asks the memory for numbers that come soon: a head's lie too far from the next token's for the processor to see the stream.
template <class K>
HERD_INLINE void fetch(const K* p, Index count) {
  for (Index i = 0; i < count; i += 64 / static_cast<Index>(sizeof(K))) __builtin_prefetch(p + i);
}

// The scores of Q queries with N keys that stand `stride` apart: each key is read once for all of them.
template <int Q, int N, class K>
HERD_INLINE void scores_of(const float* queries, const K* key, Index stride, Index e, float* to, Index count) {
  Floats sums[Q][4] = {};
  Index i = 0;
  for (; i + kLanes <= e; i += kLanes) {
    Floats keys[N];
    for (int n = 0; n < N; ++n) load(key + n * stride + i, keys[n]);
    for (int q = 0; q < Q; ++q) {
      Floats query;
      load(queries + q * e + i, query);
      for (int n = 0; n < N; ++n) sums[q][n] += query * keys[n];
    }
  }
  for (int q = 0; q < Q; ++q) {
    float sum[4];
    sums_of(sums[q][0], sums[q][1], sums[q][2], sums[q][3], sum);
    for (int n = 0; n < N; ++n) {
      for (Index j = i; j < e; ++j) sum[n] += queries[q * e + j] * kernel::load(key, n * stride + j);
      to[q * count + n] = sum[n];
    }
  }
}

template <int Q, class K>
HERD_INLINE void scores_of(const float* queries, const Seen<K>& seen, Index from, Index stride, Index e, float* to) {
  const K* key = seen.keys + from;
  Index j = 0;
  for (; j + 4 <= seen.count; j += 4, key += 4 * stride) {
    for (int n = 0; n < 4; ++n) fetch(key + (8 + n) * stride, e);
    scores_of<Q, 4>(queries, key, stride, e, to + j, seen.count);
  }
  for (; j < seen.count; ++j, key += stride) scores_of<Q, 1>(queries, key, stride, e, to + j, seen.count);
}

// Σ p v of Q queries, of N registers of each value: all sums in registers, each value read once for all of them.
template <int Q, int N, class K>
HERD_INLINE void answers_of(const float* p, const Seen<K>& seen, Index from, Index stride, float* to, Index e) {
  Floats sums[Q][N] = {};
  const K* value = seen.values + from;
  for (Index j = 0; j < seen.count; ++j, value += stride) {
    fetch(value + 8 * stride, N * kLanes);
    Floats values[N];
    for (int n = 0; n < N; ++n) load(value + n * kLanes, values[n]);
    for (int q = 0; q < Q; ++q)
      for (int n = 0; n < N; ++n) sums[q][n] += p[q * seen.count + j] * values[n];
  }
  for (int q = 0; q < Q; ++q)
    for (int n = 0; n < N; ++n) std::memcpy(to + q * e + n * kLanes, &sums[q][n], sizeof(Floats));
}

template <int Q, class K>
HERD_INLINE void answers_of(const float* p, const Seen<K>& seen, Index from, Index stride, float* to, Index e) {
  Index i = 0;
  for (; i + 4 * kLanes <= e; i += 4 * kLanes) answers_of<Q, 4>(p, seen, from + i, stride, to + i, e);
  for (; i + kLanes <= e; i += kLanes) answers_of<Q, 1>(p, seen, from + i, stride, to + i, e);
  for (; i < e; ++i) {
    for (int q = 0; q < Q; ++q) {
      float sum = 0;
      for (Index j = 0; j < seen.count; ++j) sum += p[q * seen.count + j] * kernel::load(seen.values, from + j * stride + i);
      to[q * e + i] = sum;
    }
  }
}

// What Q queries of one key head see, their scores and answers: q is scaled already.
template <int Q, class K>
HERD_INLINE void queries_of(const float* q, const Seen<K>& seen, Index kv_head, const QueryShape& shape, const float* slopes, float* scores, float* answers) {
  const Index e = shape.width, stride = shape.kv_heads * e, count = seen.count;
  scores_of<Q>(q, seen, kv_head * e, stride, e, scores);
  for (Index i = 0; i < Q; ++i, scores += count) {
    if constexpr (std::is_same_v<K, std::int8_t>)
      for (Index j = 0; j < count; ++j) scores[j] *= seen.key_scales[j * shape.kv_heads + kv_head];
    softmax(scores, count, slopes ? slopes[i] : 0);
    if constexpr (std::is_same_v<K, std::int8_t>)
      for (Index j = 0; j < count; ++j) scores[j] *= seen.value_scales[j * shape.kv_heads + kv_head];
  }
  answers_of<Q>(scores - Q * count, seen, kv_head * e, stride, answers, e);
}

template <class S, class K>
HERD_INLINE void one_head(const S* q, const Seen<K>& seen, S* out, const QueryShape& shape, Index kv_head, const float* slopes, Scratch& scratch) {
  const Index e = shape.width, group = shape.heads / shape.kv_heads;
  constexpr Index kTogether = 4;
  scratch.scores.resize(static_cast<std::size_t>(kTogether * seen.count));
  float *queries = scratch.q.data(), *scores = scratch.scores.data(), *sums = scratch.sums.data();
  const float scale = 1 / std::sqrt(static_cast<float>(e));
  for (Index i = 0; i < group * e; ++i) queries[i] = kernel::load(q, i) * scale;
  const float* slope = slopes ? slopes + kv_head * group : nullptr;
  Index left = group;  // no lambda: it would be compiled for the oldest CPU
  for (; left >= 4; left -= 4, queries += 4 * e, sums += 4 * e, slope += slopes ? 4 : 0) queries_of<4>(queries, seen, kv_head, shape, slope, scores, sums);
  if (left == 3) queries_of<3>(queries, seen, kv_head, shape, slope, scores, sums);
  else if (left == 2) queries_of<2>(queries, seen, kv_head, shape, slope, scores, sums);
  else if (left == 1) queries_of<1>(queries, seen, kv_head, shape, slope, scores, sums);
  for (Index i = 0; i < group * e; ++i) store(out, i, scratch.sums[static_cast<std::size_t>(i)]);
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
