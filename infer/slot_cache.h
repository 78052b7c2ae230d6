#pragma once
#include "runtime/nn/causal_lm.h"

namespace herd {

/// Keys and values of several texts at once, a slot each: [slots, capacity, k, e] a layer. Capacity grows in chunks, so that a token
/// costs no copy of what is there.
class SlotCache {
 public:
  /// @param dtype of the model's activations. @param limit tokens a slot will ever hold: capacity grows no further. What the model's side
  /// input holds of a slot comes on top and is in none of the numbers here.
  SlotCache(const CausalLm& model, at::ScalarType dtype, std::int64_t slots, std::int64_t limit);

  /// Room for `tokens` in every slot; `held` of them are kept.
  void reserve(std::int64_t tokens, std::int64_t held);
  /// Slots [first, first + lengths.size()) as a cache that holds `lengths` tokens, and the virtual ones before them; it shares the memory. Valid until reserve grows.
  KvCache view(std::int64_t first, std::vector<std::int64_t> lengths) const;
  /// Takes over what a model left in a view beside keys and values (KvCache::prefixes, marks).
  void keep(std::int64_t first, const KvCache& view);
  /// Copies the first `tokens` of a slot over another's.
  void copy(std::int64_t from, std::int64_t to, std::int64_t tokens);

  std::int64_t capacity() const { return capacity_; }

 private:
  KvCache all_;
  at::ScalarType dtype_;
  std::int64_t slots_, limit_, kv_heads_, head_dim_, capacity_ = 0;
  std::int64_t side_, virtual_tokens_;  // places before a slot's tokens; of them, those that hold tokens to the model
};

}  // namespace herd
