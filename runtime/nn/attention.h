#pragma once
#include <vector>

#include "runtime/nn/batch.h"

namespace herd {

/// Keys and values of the tokens so far, for generation: a layer's tensors are [b, capacity, k, e].
struct KvCache {
  std::vector<Tensor> keys, values;
  std::vector<std::int64_t> lengths;  ///< tokens held, a row

  /// Call once after all layers have seen `added[row]` more tokens.
  void advance(const std::vector<std::int64_t>& added);
};

/// Who attends to whom: a description, never a mask tensor. Causal inside each segment.
struct AttentionLayout {
  std::vector<Segment> segments;
  bool whole_rows = true;  ///< every row is one segment (padding on the right is seen by nobody, as attention is causal)
};

AttentionLayout attention_layout(const Batch& batch);

/// softmax(q·kᵀ/√e) v for q [b, t, h, e] and k, v [b, t, k, e], h a multiple of k (grouped queries, Ainslie et al. 2023).
/// @return [b, t, h·e]. With a cache, k and v are appended to `layer` first; then t is 1 or the cache is empty.
Tensor attention(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const AttentionLayout& layout,
                 KvCache* cache = nullptr, std::int64_t layer = 0);

}  // namespace herd
