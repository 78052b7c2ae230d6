#include "infer/slot_cache.h"

#include <algorithm>

namespace herd {

SlotCache::SlotCache(const CausalLm& model, at::ScalarType dtype, std::int64_t slots, std::int64_t limit)
    : dtype_(dtype), slots_(slots), limit_(limit), kv_heads_(model.facts.kv_heads), head_dim_(model.facts.head_dim),
      side_(model.side ? model.side->length() : 0), virtual_tokens_(model.has_virtual_tokens() ? side_ : 0) {
  all_.keys.resize(model.blocks.size());
  all_.values.resize(model.blocks.size());
  for (auto* of_slots : {&all_.prefixes, &all_.marks}) of_slots->resize(static_cast<std::size_t>(slots));
}

void SlotCache::reserve(std::int64_t tokens, std::int64_t held) {
  if (tokens <= capacity_) return;
  constexpr std::int64_t kChunk = 64;
  const auto wanted = std::max(tokens, capacity_ + capacity_ / 2);
  capacity_ = std::max(tokens, std::min((wanted + kChunk - 1) / kChunk * kChunk, limit_));
  const auto grow = [&](Tensor& x) {
    auto larger = at::empty({slots_, side_ + capacity_, kv_heads_, head_dim_}, dtype_);
    if (held > 0) larger.narrow(1, 0, side_ + held).copy_(x.narrow(1, 0, side_ + held));
    x = larger;
  };
  for (auto& x : all_.keys) grow(x);
  for (auto& x : all_.values) grow(x);
}

KvCache SlotCache::view(std::int64_t first, std::vector<std::int64_t> lengths) const {
  KvCache view;
  const auto count = static_cast<std::int64_t>(lengths.size());
  for (const auto& x : all_.keys) view.keys.push_back(x.narrow(0, first, count));
  for (const auto& x : all_.values) view.values.push_back(x.narrow(0, first, count));
  view.lengths = std::move(lengths);
  for (auto& length : view.lengths)
    if (length > 0) length += virtual_tokens_;
  view.prefixes.assign(all_.prefixes.begin() + first, all_.prefixes.begin() + first + count);
  view.marks.assign(all_.marks.begin() + first, all_.marks.begin() + first + count);
  return view;
}

void SlotCache::keep(std::int64_t first, const KvCache& view) {
  std::copy(view.prefixes.begin(), view.prefixes.end(), all_.prefixes.begin() + first);
  std::copy(view.marks.begin(), view.marks.end(), all_.marks.begin() + first);
}

void SlotCache::copy(std::int64_t from, std::int64_t to, std::int64_t tokens) {
  for (auto* of_slots : {&all_.prefixes, &all_.marks}) (*of_slots)[static_cast<std::size_t>(to)] = (*of_slots)[static_cast<std::size_t>(from)];
  for (auto* both : {&all_.keys, &all_.values})
    for (auto& x : *both) x.select(0, to).narrow(0, 0, side_ + tokens).copy_(x.select(0, from).narrow(0, 0, side_ + tokens));
}

}  // namespace herd
