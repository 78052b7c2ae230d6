#include "runtime/nn/causal_lm.h"

#include <algorithm>

namespace herd {

void CausalLm::visit(Visitor& v) {
  visit_embedding(v);
  for (std::size_t i = 0; i < blocks.size(); ++i) v(block_name(i), *blocks[i]);
  visit_head(v);
}

Tensor CausalLm::hidden(const Batch& batch, KvCache* cache) {
  auto ctx = context(batch, cache);
  auto x = embed(batch);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ctx.layer = static_cast<std::int64_t>(i);
    x = blocks[i]->forward(x, ctx);
  }
  return x;
}

Tensor CausalLm::logits(const Batch& batch, KvCache* cache) { return head()(final_norm(hidden(batch, cache))); }

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
