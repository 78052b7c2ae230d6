#include "runtime/nn/attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "runtime/base/error.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// What libtorch's attention keeps and makes on the CPU (and a GPU's keeps): on the meta device it would choose one that holds all scores.
struct MetaAttention : Function<MetaAttention> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke) {
    auto out_bthe = at::empty(q_bthe.sizes(), q_bthe.options().requires_grad(false));
    auto log_sum_bth = at::empty(q_bthe.sizes().slice(0, 3), out_bthe.options().dtype(at::kFloat));
    ctx->save_for_backward({q_bthe, k_btke, v_btke, out_bthe, log_sum_bth});
    return out_bthe;
  }
  static variable_list backward(AutogradContext* ctx, variable_list) {
    const auto saved = ctx->get_saved_variables();
    const auto like = [&](std::size_t i) { return at::empty(saved[i].sizes(), saved[i].options().requires_grad(false)); };
    return {like(0), like(1), like(2)};
  }
};

// [b, t, h, e] in and out; the kernel works on [b, h, t, e] views of the same memory.
Tensor causal(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, bool is_causal) {
  if (q_bthe.is_meta()) return MetaAttention::apply(q_bthe, k_btke, v_btke);
  const bool grouped = q_bthe.size(2) != k_btke.size(2);
  return at::scaled_dot_product_attention(q_bthe.transpose(1, 2), k_btke.transpose(1, 2), v_btke.transpose(1, 2), {}, 0.0, is_causal,
                                          std::nullopt, grouped)
      .transpose(1, 2);
}

// The rows laid end to end, cut at every segment's edges.
struct Cuts {
  std::vector<std::int64_t> lengths;
  std::vector<bool> padding;
};

Cuts cut_at_segments(const std::vector<Segment>& segments, std::int64_t t, std::int64_t total) {
  Cuts cuts;
  std::int64_t end = 0;
  const auto add = [&](std::int64_t until, bool padding) {
    if (until == end) return;
    cuts.lengths.push_back(until - end);
    cuts.padding.push_back(padding);
    end = until;
  };
  for (const auto& s : segments) {
    add(s.row * t + s.begin, true);
    add(s.row * t + s.end, false);
  }
  add(total, true);
  return cuts;
}

// Packed rows: one small attention a segment, never a dense mask (8 × 128 packed: 39 ms with a mask, 8 ms so).
// One split and one cat: the backward of a narrow for each segment would fill and add a whole tensor of zeros each.
Tensor by_segment(const Tensor& q, const Tensor& k, const Tensor& v, const std::vector<Segment>& segments) {
  const auto cuts = cut_at_segments(segments, q.size(1), q.size(0) * q.size(1));
  const auto split = [&](const Tensor& x) { return x.flatten(0, 1).split_with_sizes(cuts.lengths); };
  const auto qs = split(q), ks = split(k), vs = split(v);
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < qs.size(); ++i)
    parts.push_back(cuts.padding[i] ? at::zeros_like(qs[i]) : causal(qs[i].unsqueeze(0), ks[i].unsqueeze(0), vs[i].unsqueeze(0), true).squeeze(0));
  return at::cat(parts, 0).unflatten(0, {q.size(0), q.size(1)});
}

// One token's queries q [1, 1, h, e] against all keys. The query heads of a key head stand as so many positions, which the kernel takes
// better than grouped heads (32 on 8 heads of 128, 2,000 tokens, one thread: 1.5 ms instead of 4).
Tensor one_query(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke) {
  const auto k = k_btke.size(2), group = q_bthe.size(2) / k;
  const auto q_bgke = q_bthe.view({1, k, group, q_bthe.size(3)}).transpose(1, 2);
  return causal(q_bgke, k_btke, v_btke, false).transpose(1, 2).flatten(1, 2).unsqueeze(1);
}

Tensor with_cache(const Tensor& q, const Tensor& k, const Tensor& v, KvCache& cache, std::size_t layer) {
  auto &keys = cache.keys[layer], &values = cache.values[layer];
  const auto t = q.size(1);
  const auto longest = *std::max_element(cache.lengths.begin(), cache.lengths.end());
  if (longest == 0) {
    keys.narrow(1, 0, t).copy_(k);
    values.narrow(1, 0, t).copy_(v);
    return causal(q, k, v, true);
  }
  if (t != 1)
    throw ShapeError({.who = "attention", .found = std::to_string(t) + " tokens onto a filled cache", .expected = "one at a time", .remedy = ""});
  std::vector<Tensor> rows;
  for (std::int64_t row = 0; row < q.size(0); ++row) {
    const auto held = cache.lengths[static_cast<std::size_t>(row)];
    auto row_keys = keys.narrow(0, row, 1), row_values = values.narrow(0, row, 1);
    row_keys.narrow(1, held, 1).copy_(k.narrow(0, row, 1));
    row_values.narrow(1, held, 1).copy_(v.narrow(0, row, 1));
    rows.push_back(one_query(q.narrow(0, row, 1), row_keys.narrow(1, 0, held + 1), row_values.narrow(1, 0, held + 1)));
  }
  return at::cat(rows, 0);
}

}  // namespace

void KvCache::advance(const std::vector<std::int64_t>& added) {
  for (std::size_t row = 0; row < lengths.size(); ++row) lengths[row] += added[row];
}

AttentionLayout attention_layout(const Batch& batch) {
  AttentionLayout layout{.segments = batch.segments};
  std::vector<int> count(static_cast<std::size_t>(batch.rows()));
  for (const auto& s : batch.segments) {
    if (s.begin != 0 || ++count[static_cast<std::size_t>(s.row)] > 1) layout.whole_rows = false;
  }
  return layout;
}

Tensor attention(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const AttentionLayout& layout, KvCache* cache,
                 std::int64_t layer) {
  Tensor out;
  if (cache) out = with_cache(q_bthe, k_btke, v_btke, *cache, static_cast<std::size_t>(layer));
  else if (layout.whole_rows) out = causal(q_bthe, k_btke, v_btke, true);
  else out = by_segment(q_bthe, k_btke, v_btke, layout.segments);
  return out.flatten(2);
}

}  // namespace herd
