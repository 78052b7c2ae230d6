#include "runtime/nn/causal_lm.h"

#include <algorithm>

#include "runtime/nn/embedding_noise.h"

namespace herd {

void CausalLm::visit(Visitor& v) {
  visit_embedding(v);
  for (std::size_t i = 0; i < blocks.size(); ++i) v(block_name(i), *blocks[i]);
  visit_head(v);
  if (side) v("prompt_encoder", *side);
}

Batch CausalLm::beside(const Batch& batch, bool first) const {
  if (has_virtual_tokens() && first) return with_virtual_tokens(batch, side->length());
  if (!side || (has_prefix() && !facts.prefix_has_positions)) return batch;
  auto seen = batch;
  seen.positions_bt = batch.positions_bt + side->length();
  return seen;
}

SideLeaves CausalLm::side_leaves(bool learns) { return side ? SideLeaves(*side, facts.kv_heads, facts.head_dim, learns) : SideLeaves(); }

Context CausalLm::context_beside(const Batch& seen, const SideLeaves& leaves, KvCache* cache) const {
  auto ctx = context(seen, cache);
  if (has_prefix()) ctx.attention.past = {leaves.keys_nke(), leaves.values_nke(), side->length()};
  return ctx;
}

Tensor CausalLm::embed(const Batch& batch, const Batch& seen, const SideLeaves& leaves) {
  auto x_btd = look_up(batch.tokens_bt);
  if (random->training && random->neftune_alpha > 0) x_btd = with_embedding_noise(x_btd, batch, *random);
  if (seen.length() != batch.length()) x_btd = with_virtual_tokens(x_btd, leaves.tokens_nd(), batch, seen);
  return enter(x_btd, seen);
}

Tensor CausalLm::hidden(const Batch& batch, KvCache* cache) {
  const bool first = !cache || cache->empty();
  const auto leaves = first ? side_leaves(false) : SideLeaves();  // the cache holds what they were
  const auto seen = beside(batch, first);
  auto ctx = context_beside(seen, leaves, cache);
  auto x = embed(batch, seen, leaves);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ctx.layer = static_cast<std::int64_t>(i);
    x = blocks[i]->forward(x, ctx);
  }
  return has_virtual_tokens() && first ? without_virtual_tokens(x, batch, seen) : x;
}

Tensor CausalLm::logits(const Batch& batch, KvCache* cache) { return head()(final_norm(hidden(batch, cache))); }

Tensor CausalLm::next_logits(const Batch& batch, KvCache& cache) {
  return last_logits(hidden(batch, &cache));
}

Tensor CausalLm::last_logits(const Tensor& x_btd) {
  return head()(final_norm(x_btd.narrow(1, x_btd.size(1) - 1, 1))).squeeze(1).to(at::kFloat).contiguous();
}

void assign_names(CausalLm& model) {
  for_each_parameter(model, [](const std::string& name, Parameter& p) { p.name = name; });
}

void set_dtype(CausalLm& model, at::ScalarType dtype) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) { set_dtype(p, dtype); });
  model.tie();
}

void fill(CausalLm& model, const ReadParameter& read, at::Device device) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (p.value.is_meta()) fill(p, read);
    if (p.value.device() == device) return;
    p.value = p.value.detach().to(device);
    p.value.set_requires_grad(p.trainable);
  });
  model.tie();
}

void materialise(CausalLm& model, at::ScalarType dtype) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    if (p.value.is_meta()) materialise(p, dtype);
  });
  model.tie();
}

void initialise(CausalLm& model, std::uint64_t seed) {
  for_each_parameter(model, [&](const std::string&, Parameter& p) { initialise(p, seed, model.facts.init_std); });
}

Batch plain_batch(const std::vector<std::vector<std::int64_t>>& rows, std::int64_t pad) {
  std::size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  const auto b = static_cast<std::int64_t>(rows.size()), t = static_cast<std::int64_t>(longest);
  Batch batch;
  batch.tokens_bt = at::full({b, t}, pad, at::kLong);
  batch.labels_bt = at::full({b, t}, kIgnoreLabel, at::kLong);
  batch.positions_bt = at::arange(t, at::kLong).expand({b, t}).contiguous();
  for (std::int64_t row = 0; row < b; ++row) {
    const auto& ids = rows[static_cast<std::size_t>(row)];
    std::copy(ids.begin(), ids.end(), batch.tokens_bt.data_ptr<std::int64_t>() + row * t);
    batch.segments.push_back({row, 0, static_cast<std::int64_t>(ids.size())});
    batch.row_ids.push_back(row);
  }
  return batch;
}

}  // namespace herd
