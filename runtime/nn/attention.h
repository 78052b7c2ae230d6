#pragma once
#include <vector>

#include "runtime/nn/batch.h"
#include "runtime/nn/kv_cache.h"

namespace herd {

/// Keys and values that stand before every segment in each layer, one [n, k, e] a layer: seen by every token, made by none (Li & Liang 2021).
/// To a window or slopes they are tokens at the n places before a segment's first.
struct PastKeysAndValues {
  std::vector<Tensor> keys_nke{}, values_nke{};
  std::int64_t held = 0;  ///< how many a cache holds already, where they are not here
  std::int64_t length() const { return keys_nke.empty() ? held : keys_nke.front().size(0); }
};

/// Who attends to whom: a description, never a mask of all pairs. Causal inside each segment.
struct AttentionLayout {
  std::vector<Segment> segments;
  bool whole_rows = true;              ///< every row is one segment (padding on the right is seen by nobody, as attention is causal)
  std::vector<std::int64_t> prefixes{};  ///< one a segment: so many tokens at its beginning see each other both ways (GLM, Du et al. 2022); empty: none
  std::int64_t window = 0;             ///< a token sees so many, itself the last of them (Mistral, Jiang et al. 2023); 0: all before it
  Tensor alibi_slopes{};               ///< fp32 [h]: a key's score falls by the slope for each token that it lies behind (Press et al. 2022); undefined: none
  PastKeysAndValues past{};            ///< empty: none
};

AttentionLayout attention_layout(const Batch& batch);

/// The slopes of h heads: 2^(−8i/n) for n, the greatest power of two up to h; heads beyond it take every second slope of 2n (Press et al. 2022, section 3;
/// BLOOM). @return fp32 [h].
Tensor alibi_slopes(std::int64_t heads);

/// softmax(q·kᵀ/√e) v for q [b, t, h, e] and k, v [b, t, k, e], h a multiple of k (grouped queries, Ainslie et al. 2023).
/// @return [b, t, h·e]. With a cache, k and v are appended to `layer` of each row's text first; onto texts that hold tokens already, t is 1 or b is 1.
Tensor attention(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const AttentionLayout& layout,
                 KvCache* cache = nullptr, std::int64_t layer = 0);

}  // namespace herd
