#include "runtime/nn/attention.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <stdexcept>

#include "runtime/base/error.h"
#include "runtime/nn/one_query.h"

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

Tensor bhte(const Tensor& x_bthe) { return x_bthe.transpose(1, 2); }

// [b, t, h, e] in and out; the kernel works on [b, h, t, e] views of the same memory. Not causal: all see all.
Tensor plain(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, bool is_causal, const Tensor& bias = {},
             std::optional<double> scale = {}) {
  if (q_bthe.is_meta()) return MetaAttention::apply(q_bthe, k_btke, v_btke);
  const bool grouped = q_bthe.size(2) != k_btke.size(2);
  const auto mask = bias.defined() ? std::optional(bias) : std::nullopt;
  return bhte(at::scaled_dot_product_attention(bhte(q_bthe), bhte(k_btke), bhte(v_btke), mask, 0.0, is_causal, scale, grouped));
}

// A token sees the `window` tokens that end with it. A stretch of queries at a time against the keys that any of them sees; what a query of
// the stretch does not see of them is the same for each stretch but the first.
Tensor in_window(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window, double scale) {
  constexpr std::int64_t kStretch = 512;
  const auto t = q.size(1);
  std::vector<Tensor> parts;
  for (std::int64_t begin = 0; begin < t; begin += kStretch) {
    const auto end = std::min(begin + kStretch, t), first = std::max<std::int64_t>(0, begin - window + 1);
    Tensor seen;
    if (!q.is_meta()) {
      const auto query = at::arange(begin, end, q.options().dtype(at::kLong)).unsqueeze(1), key = at::arange(first, end, query.options());
      seen = (key <= query).logical_and_(key > query - window);
    }
    parts.push_back(plain(q.narrow(1, begin, end - begin), k.narrow(1, first, end - first), v.narrow(1, first, end - first), false, seen, scale));
  }
  return at::cat(parts, 1);
}

// slope · position as part of the product q·k, in eight more elements of a head, so that no tensor of all pairs is made: the slope as two numbers of
// the dtype, the position as two digits below 256, which bf16 holds exactly.
struct Extended {
  Tensor q, k, v;
};
Extended extend_by_alibi(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& slopes, double scale) {
  constexpr std::int64_t kDigit = 256, kMore = 8;  // kernels want widths of eight
  const auto wide = slopes.to(q.options().dtype(at::kDouble)) / scale;
  const auto coarse = wide.to(q.scalar_type()), fine = (wide - coarse).to(q.scalar_type());
  const auto none = at::zeros_like(coarse);
  const auto position = at::arange(k.size(1), q.options().dtype(at::kLong));
  const auto high = at::div(position, kDigit, "floor").to(q.scalar_type()), low = at::remainder(position, kDigit).to(q.scalar_type());
  const auto no_digit = at::zeros_like(high);
  const auto q_more = at::stack({coarse * kDigit, coarse, fine * kDigit, fine, none, none, none, none}, -1);  // [h, 8]
  const auto k_more = at::stack({high, low, high, low, no_digit, no_digit, no_digit, no_digit}, -1).unsqueeze(1);  // [t, 1, 8]
  const auto more = [&](const Tensor& x, const Tensor& added) {
    return at::cat({x, added.expand({x.size(0), x.size(1), x.size(2), kMore})}, -1);
  };
  return {more(q, q_more), more(k, k_more), more(v, at::zeros({1}, v.options()))};
}

// Causal but for the prefix: its tokens are computed again, both ways.
Tensor with_prefix(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t prefix, double scale) {
  const auto out = plain(q, k, v, true, {}, scale);
  if (prefix < 2) return out;
  const auto both_ways = [&](const Tensor& x) { return x.narrow(1, 0, prefix); };
  return at::cat({plain(both_ways(q), both_ways(k), both_ways(v), false, {}, scale), out.narrow(1, prefix, out.size(1) - prefix)}, 1);
}

// One segment a row, [b, t, h, e].
Tensor segments_of_one_length(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout, std::int64_t prefix) {
  const auto e = q.size(3);
  const double scale = 1 / std::sqrt(static_cast<double>(e));
  const auto inside = [&](const Tensor& q, const Tensor& k, const Tensor& v) {
    const bool cut = layout.window > 0 && layout.window < q.size(1);
    if (cut && prefix > 0) throw std::logic_error("attention: a window and a prefix together");
    return cut ? in_window(q, k, v, layout.window, scale) : with_prefix(q, k, v, prefix, scale);
  };
  if (!layout.alibi_slopes.defined()) return inside(q, k, v);
  const auto longer = extend_by_alibi(q, k, v, layout.alibi_slopes, scale);
  return inside(longer.q, longer.k, longer.v).narrow(-1, 0, e);
}

// The same behind keys and values that nobody of the segment made. Queries of nothing stand in their places: so they are tokens like others to
// whatever chooses who sees whom, and a kernel needs no mask to know that the real queries come after them.
Tensor behind_past(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout, std::size_t layer, std::int64_t prefix) {
  const auto n = layout.past.length();
  if (n == 0) return segments_of_one_length(q, k, v, layout, prefix);
  const auto behind = [&](const Tensor& past_nke, const Tensor& x) {
    const auto past = past_nke.to(x.scalar_type()).unsqueeze(0);  // here, not once a layer: its gradient adds up in the past's own format
    return at::cat({past.expand({x.size(0), n, x.size(2), x.size(3)}), x}, 1);
  };
  const auto nobody = at::zeros({q.size(0), n, q.size(2), q.size(3)}, q.options().requires_grad(false));
  return segments_of_one_length(at::cat({nobody, q}, 1), behind(layout.past.keys_nke[layer], k), behind(layout.past.values_nke[layer], v), layout,
                                prefix < 2 ? 0 : n + prefix)
      .narrow(1, n, q.size(1));
}

// The rows laid end to end, cut at every segment's edges.
struct Cuts {
  static constexpr std::int64_t kPadding = -1;
  std::vector<std::int64_t> lengths;
  std::vector<std::int64_t> segment;  ///< or kPadding
};

Cuts cut_at_segments(const std::vector<Segment>& segments, std::int64_t t, std::int64_t total) {
  Cuts cuts;
  std::int64_t end = 0;
  const auto add = [&](std::int64_t until, std::int64_t segment) {
    if (until == end) return;
    cuts.lengths.push_back(until - end);
    cuts.segment.push_back(segment);
    end = until;
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    add(segments[i].row * t + segments[i].begin, Cuts::kPadding);
    add(segments[i].row * t + segments[i].end, static_cast<std::int64_t>(i));
  }
  add(total, Cuts::kPadding);
  return cuts;
}

// Packed rows: one small attention a segment, never a dense mask (8 × 128 packed: 39 ms with a mask, 8 ms so).
// One split and one cat: the backward of a narrow for each segment would fill and add a whole tensor of zeros each.
Tensor by_segment(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout, std::size_t layer) {
  const auto cuts = cut_at_segments(layout.segments, q.size(1), q.size(0) * q.size(1));
  const auto split = [&](const Tensor& x) { return x.flatten(0, 1).split_with_sizes(cuts.lengths); };
  const auto qs = split(q), ks = split(k), vs = split(v);
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < qs.size(); ++i) {
    if (cuts.segment[i] == Cuts::kPadding) {
      parts.push_back(at::zeros_like(qs[i]));
      continue;
    }
    const auto prefix = layout.prefixes.empty() ? 0 : layout.prefixes[static_cast<std::size_t>(cuts.segment[i])];
    parts.push_back(behind_past(qs[i].unsqueeze(0), ks[i].unsqueeze(0), vs[i].unsqueeze(0), layout, layer, prefix).squeeze(0));
  }
  return at::cat(parts, 0).unflatten(0, {q.size(0), q.size(1)});
}

Tensor by_layout(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout, std::size_t layer) {
  return layout.whole_rows && layout.prefixes.empty() ? behind_past(q, k, v, layout, layer, 0) : by_segment(q, k, v, layout, layer);
}

// One token's queries q [1, 1, h, e] against all keys. The query heads of a key head stand as so many positions, which the kernel takes
// better than grouped heads (32 on 8 heads of 128, 2,000 tokens, one thread: 1.5 ms instead of 4).
Tensor one_query(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const AttentionLayout& layout) {
  const auto k = k_btke.size(2), group = q_bthe.size(2) / k, keys = k_btke.size(1);
  const auto q_bgke = q_bthe.view({1, k, group, q_bthe.size(3)}).transpose(1, 2);
  Tensor bias;
  if (layout.alibi_slopes.defined()) {  // by distance: small where it matters
    const auto behind = at::arange(1 - keys, 1, layout.alibi_slopes.options());
    bias = (layout.alibi_slopes.view({1, k, group, 1}) * behind).to(q_bthe.scalar_type());
  }
  return plain(q_bgke, k_btke, v_btke, false, bias).transpose(1, 2).flatten(1, 2).unsqueeze(1);
}

// More tokens of one text behind those it holds: a query sees the keys up to its own place.
Tensor behind_held(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout) {
  const auto t = q.size(1), keys = k.size(1), e = q.size(3);
  const double scale = 1 / std::sqrt(static_cast<double>(e));
  const auto query = at::arange(keys - t, keys, q.options().dtype(at::kLong)).unsqueeze(1), key = at::arange(keys, query.options());
  auto seen = key <= query;
  if (layout.window > 0) seen = seen.logical_and_(key > query - layout.window);
  if (!layout.alibi_slopes.defined()) return plain(q, k, v, false, seen, scale);
  const auto longer = extend_by_alibi(q, k, v, layout.alibi_slopes, scale);
  return plain(longer.q, longer.k, longer.v, false, seen, scale).narrow(-1, 0, e);
}

// One token of each text by the CPU's own kernel.
template <class S, class K>
Tensor one_query_by_kernel(const Tensor& q_b1he, std::span<const kernel::Seen<K>> texts, std::int64_t kv_heads, const Tensor& slopes) {
  const auto q = q_b1he.contiguous();
  auto out = at::empty(q.sizes(), q.options());
  const kernel::QueryShape shape{.heads = q.size(2), .kv_heads = kv_heads, .width = q.size(3)};
  std::int64_t keys = 0;
  for (const auto& text : texts) keys += text.count;
  constexpr std::int64_t kWork = 1 << 14;  // numbers of keys that are worth a thread
  const auto a_head = std::max<std::int64_t>(1, keys / std::ssize(texts) * shape.width);
  at::parallel_for(0, q.size(0) * kv_heads, std::max<std::int64_t>(1, kWork / a_head), [&](std::int64_t first, std::int64_t last) {
    kernel::one_query(reinterpret_cast<const S*>(q.const_data_ptr()), texts, reinterpret_cast<S*>(out.mutable_data_ptr()), shape,
                      slopes.defined() ? slopes.const_data_ptr<float>() : nullptr, first, last);
  });
  return out;
}

template <class S, class K>
Tensor one_query_by_kernel(const Tensor& q, const AttentionLayout& layout, const KvCache& cache, std::size_t layer) {
  std::vector<kernel::Seen<K>> seen;
  for (const auto* text : cache.texts) {
    const auto held = layout.past.length() + text->length + 1, count = layout.window > 0 ? std::min(held, layout.window) : held;
    const auto numbers = [&](const KvSlab& slab) { return reinterpret_cast<const K*>(slab.numbers.const_data_ptr()) + (held - count) * slab.numbers.stride(0); };
    const auto scales = [&](const KvSlab& slab) { return slab.is_int8() ? slab.scales.const_data_ptr<float>() + (held - count) * slab.scales.stride(0) : nullptr; };
    const auto &keys = text->keys[layer], &values = text->values[layer];
    seen.push_back({numbers(keys), numbers(values), count, scales(keys), scales(values)});
  }
  return one_query_by_kernel<S, K>(q, std::span<const kernel::Seen<K>>(seen), cache.texts.front()->keys[layer].numbers.size(1), layout.alibi_slopes);
}

// @return undefined where there is no kernel for it.
Tensor one_query_by_kernel(const Tensor& q, const AttentionLayout& layout, const KvCache& cache, std::size_t layer) {
  const auto dtype = q.scalar_type(), held = cache.texts.front()->keys[layer].numbers.scalar_type();
  if (!q.is_cpu()) return {};
  if (dtype == at::kFloat && held == at::kFloat) return one_query_by_kernel<float, float>(q, layout, cache, layer);
  if (dtype == at::kFloat && held == at::kChar) return one_query_by_kernel<float, std::int8_t>(q, layout, cache, layer);
  if (dtype == at::kBFloat16 && held == at::kBFloat16) return one_query_by_kernel<kernel::Bf16, kernel::Bf16>(q, layout, cache, layer);
  if (dtype == at::kBFloat16 && held == at::kChar) return one_query_by_kernel<kernel::Bf16, std::int8_t>(q, layout, cache, layer);
  return {};
}

Tensor with_cache(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout, KvCache& cache, std::size_t layer) {
  const auto t = q.size(1), n = layout.past.length();
  const bool first = cache.empty();
  if (!first && t != 1 && q.size(0) != 1)
    throw ShapeError({.who = "attention", .found = fmt::format("{} tokens of {} texts onto a filled cache", t, q.size(0)), .expected = "several tokens of one text, or one of each", .remedy = ""});
  for (std::int64_t row = 0; row < q.size(0); ++row) {
    auto& text = *cache.texts[static_cast<std::size_t>(row)];
    auto &keys = text.keys[layer], &values = text.values[layer];
    if (first && n > 0) keys.put(0, layout.past.keys_nke[layer]), values.put(0, layout.past.values_nke[layer]);
    keys.put(n + text.length, k[row]);
    values.put(n + text.length, v[row]);
  }
  if (first) return by_layout(q, k, v, layout, layer);
  if (t == 1)
    if (auto out = one_query_by_kernel(q, layout, cache, layer); out.defined()) return out;
  std::vector<Tensor> rows;
  for (std::int64_t row = 0; row < q.size(0); ++row) {
    const auto& text = *cache.texts[static_cast<std::size_t>(row)];
    const auto held = n + text.length + t, seen = layout.window > 0 ? std::min(held, layout.window + t - 1) : held;
    const auto last = [&](const KvSlab& slab) { return slab.get(held - seen, seen, q.scalar_type()).unsqueeze(0); };
    const auto keys = last(text.keys[layer]), values = last(text.values[layer]);
    rows.push_back(t == 1 ? one_query(q.narrow(0, row, 1), keys, values, layout) : behind_held(q, keys, values, layout));
  }
  return at::cat(rows, 0);
}

}  // namespace

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
  const auto out = cache ? with_cache(q_bthe, k_btke, v_btke, layout, *cache, static_cast<std::size_t>(layer))
                         : by_layout(q_bthe, k_btke, v_btke, layout, static_cast<std::size_t>(layer));
  return out.flatten(2);
}

Tensor alibi_slopes(std::int64_t heads) {
  std::int64_t n = 1;
  while (2 * n <= heads) n *= 2;
  const auto slopes = at::empty({heads}, at::kFloat);
  auto* to = slopes.data_ptr<float>();
  for (std::int64_t i = 0; i < heads; ++i) {
    const auto exponent = i < n ? -8.0 * static_cast<double>(i + 1) / static_cast<double>(n)
                                : -4.0 * static_cast<double>(2 * (i - n) + 1) / static_cast<double>(n);
    to[i] = static_cast<float>(std::exp2(exponent));
  }
  return slopes;
}

}  // namespace herd
