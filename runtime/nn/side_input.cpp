#include "runtime/nn/side_input.h"

#include <algorithm>

#include "runtime/nn/autograd.h"

namespace herd {

SideLeaves::SideLeaves(SideInput& side, std::int64_t heads, std::int64_t head_dim, bool learns) {
  const at::AutoGradMode mode(learns);
  produced_ = side.produce();
  const auto cut = produced_.detach();
  if (side.kind() == SideInput::Kind::kTokens) leaves_ = {cut};
  else leaves_ = cut.view({side.length(), -1, heads, head_dim}).unbind(1);
  for (auto& leaf : leaves_) leaf = leaf.detach().set_requires_grad(learns);
  if (!learns) produced_.reset();
}

std::vector<Tensor> SideLeaves::every_second(std::size_t first) const {
  std::vector<Tensor> out;
  for (auto i = first; i < leaves_.size(); i += 2) out.push_back(leaves_[i]);
  return out;
}

void SideLeaves::backward() const {
  std::vector<Tensor> grads;
  bool any = false;
  for (const auto& leaf : leaves_) {
    any = any || leaf.grad().defined();
    grads.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  }
  if (any) herd::backward(produced_, at::stack(grads, 1).view(produced_.sizes()));
}

namespace {

// Where a segment and its virtual tokens begin in the longer row.
std::vector<std::int64_t> begins_in_longer(const Batch& batch, std::int64_t n) {
  std::vector<std::int64_t> begins, ends(static_cast<std::size_t>(batch.rows()));
  for (const auto& s : batch.segments) {
    auto& end = ends[static_cast<std::size_t>(s.row)];
    begins.push_back(end);
    if (s.length() > 0) end += n + s.length();
  }
  return begins;
}

}  // namespace

Batch with_virtual_tokens(const Batch& batch, std::int64_t n) {
  const auto begins = begins_in_longer(batch, n);
  Batch out{.tokens_bt = {}, .labels_bt = {}, .positions_bt = {}, .segments = batch.segments, .row_ids = batch.row_ids,
            .supervised_tokens = batch.supervised_tokens};
  std::int64_t longest = n + 1;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    auto& s = out.segments[i];
    const auto length = s.length() > 0 ? n + s.length() : 0;
    s.begin = begins[i], s.end = s.begin + length;
    longest = std::max(longest, s.end);
  }
  const auto b = batch.rows(), t = batch.length();
  const auto from = at::full({b, longest}, -1, at::kLong), positions = at::zeros({b, longest}, at::kLong);
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const auto &s = out.segments[i], &own = batch.segments[i];
    if (s.length() == 0) continue;
    positions[s.row].narrow(0, s.begin, s.length()).copy_(at::arange(s.length(), at::kLong));
    from[s.row].narrow(0, s.begin + n, own.length()).copy_(at::arange(own.row * t + own.begin, own.row * t + own.end, at::kLong));
  }
  const auto taken = [&](const Tensor& x_bt, std::int64_t otherwise) {
    if (x_bt.is_meta()) return at::empty({b, longest}, x_bt.options());
    const auto index = from.to(x_bt.device());
    return at::where(index.ge(0), x_bt.flatten().index_select(0, index.clamp_min(0).flatten()).view_as(index), otherwise);
  };
  out.tokens_bt = taken(batch.tokens_bt, -1);
  out.labels_bt = taken(batch.labels_bt, kIgnoreLabel);
  out.positions_bt = batch.tokens_bt.is_meta() ? at::empty({b, longest}, batch.tokens_bt.options()) : positions.to(batch.tokens_bt.device());
  return out;
}

// One split and one cat, as attention does it: the backward of each is one pass, and adds in one order.
Tensor with_virtual_tokens(const Tensor& x_btd, const Tensor& tokens_nd, const Batch& batch, const Batch& longer) {
  const auto n = tokens_nd.size(0), b = x_btd.size(0), t = x_btd.size(1), d = x_btd.size(2);
  std::vector<std::int64_t> lengths;
  std::int64_t end = 0;
  for (const auto& s : batch.segments) {
    lengths.push_back(s.row * t + s.begin - end);
    lengths.push_back(s.length());
    end = s.row * t + s.end;
  }
  lengths.push_back(b * t - end);
  const auto pieces = x_btd.flatten(0, 1).split_with_sizes(lengths);
  std::vector<Tensor> parts;
  std::int64_t filled = 0;  // rows laid end to end
  const auto pad_to = [&](std::int64_t place) {
    if (place > filled) parts.push_back(at::zeros({place - filled, d}, x_btd.options().requires_grad(false)));
    filled = place;
  };
  for (std::size_t i = 0; i < batch.segments.size(); ++i) {
    const auto& s = longer.segments[i];
    if (s.length() == 0) continue;
    pad_to(s.row * longer.length() + s.begin);
    parts.push_back(tokens_nd.to(x_btd.scalar_type()));
    parts.push_back(pieces[2 * i + 1]);
    filled += n + batch.segments[i].length();
  }
  pad_to(b * longer.length());
  return at::cat(parts, 0).view({b, longer.length(), d});
}

Tensor without_virtual_tokens(const Tensor& x_bTd, const Batch& batch, const Batch& longer) {
  const auto b = batch.rows(), t = batch.length();
  const auto from = at::zeros({b, t}, at::kLong);
  for (std::size_t i = 0; i < batch.segments.size(); ++i) {
    const auto &own = batch.segments[i], &s = longer.segments[i];
    if (own.length() == 0) continue;
    const auto end = s.row * longer.length() + s.end;
    from[own.row].narrow(0, own.begin, own.length()).copy_(at::arange(end - own.length(), end, at::kLong));
  }
  return x_bTd.flatten(0, 1).index_select(0, from.flatten().to(x_bTd.device())).view({b, t, x_bTd.size(2)});
}

}  // namespace herd
