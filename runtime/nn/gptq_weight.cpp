#include "runtime/nn/gptq_weight.h"

#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

constexpr std::int64_t kReadElements = 4 << 20;  // of the dense matrix at a time

GptqLayout layout_of(const Parameter& dense, std::int64_t bits, std::int64_t groups) {
  return {.out = dense.value.size(0), .in = dense.value.size(1), .bits = bits, .groups = groups};
}

Tensor as_bytes(const Tensor& x) { return x.contiguous().view(-1).view(at::kByte); }

// What of bytes [at, at + rows · row_bytes) lies in `to`, which begins at `begin`, some rows at a time: f(first row, last) gives theirs.
template <class F>
void copy_rows(std::int64_t begin, const Tensor& to, std::int64_t at, std::int64_t rows, std::int64_t row_bytes, std::int64_t at_once, F f) {
  const auto first_byte = std::max(begin, at), last_byte = std::min(begin + to.numel(), at + rows * row_bytes);
  if (first_byte >= last_byte) return;
  const auto end = (last_byte - at - 1) / row_bytes + 1;
  for (auto row = (first_byte - at) / row_bytes; row < end; row += at_once) {
    const auto last = std::min(end, row + at_once);
    const auto from = std::max(first_byte, at + row * row_bytes), until = std::min(last_byte, at + last * row_bytes);
    to.narrow(0, from - begin, until - from).copy_(as_bytes(f(row, last)).narrow(0, from - at - row * row_bytes, until - from));
  }
}

}  // namespace

void GptqLayout::read_scales(std::int64_t begin, const Tensor& to, const Tensor& g_idx, const Rows& scales, const Rows& zeros) const {
  const auto at_once = std::max<std::int64_t>(1, kReadElements / in);
  copy_rows(begin, to, 0, 1, scales_at(), 1, [&](std::int64_t, std::int64_t) { return g_idx; });
  copy_rows(begin, to, scales_at(), out, groups * 2, at_once, scales);
  copy_rows(begin, to, zeros_at(), out, groups, at_once, zeros);
}

GptqWeight::GptqWeight(const Parameter& dense, std::int64_t bits, std::int64_t groups)
    : QuantisedWeight(dense, {dense.value.size(0), layout_of(dense, bits, groups).row_bytes()}, layout_of(dense, bits, groups).scale_bytes()),
      layout_(layout_of(dense, bits, groups)) {}

GptqWeight::GptqWeight(const Parameter& dense, const GptqOptions& options)
    : GptqWeight(dense, options.bits, gptq_groups(dense.value.size(0), dense.value.size(1), options, dense.name)) {}

kernel::GroupedRow GptqWeight::row(std::int64_t i) const {
  const auto* scales = static_cast<const std::uint8_t*>(this->scales().value.const_data_ptr());
  return {.bits = static_cast<int>(layout_.bits),
          .codes = code_bytes() + i * layout_.row_bytes(),
          .scales = reinterpret_cast<const std::uint16_t*>(scales + layout_.scales_at()) + i * layout_.groups,
          .zeros = scales + layout_.zeros_at() + i * layout_.groups,
          .groups = reinterpret_cast<const std::int32_t*>(scales)};
}

void GptqWeight::dequantise(std::int64_t i, std::int64_t begin, std::int64_t n, float* to) const { kernel::dequantise(row(i), begin, n, to); }
void GptqWeight::dequantise(std::int64_t i, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const { kernel::dequantise(row(i), begin, n, to); }

Tensor GptqWeight::few_rows(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  auto y_no = at::empty({n, out()}, x_ni.options());
  if (x_ni.is_meta()) return y_no;
  parallel_rows(out(), in(), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i)
      for (std::int64_t k = 0; k < n; ++k) data_of<float>(y_no)[k * out() + i] = kernel::dot(row(i), data_of<float>(x_ni) + k * in(), in());
  });
  return y_no;
}

Tensor GptqWeight::dequantised(std::int64_t begin, std::int64_t end) const {
  constexpr std::int64_t kTogether = 8;
  const auto rows = end - begin, bits = layout_.bits;
  auto codes = this->codes().value.narrow(0, begin, rows);
  if (bits != 8) {  // eight codes lie in as many bytes as each has bits
    const auto on_device = codes.options().dtype(at::kLong);
    const auto bytes = codes.view({rows, -1, bits}).to(at::kLong).bitwise_left_shift(at::arange(bits, on_device) * 8).sum(-1, /*keepdim=*/true);
    codes = bytes.bitwise_right_shift(at::arange(kTogether, on_device) * bits).bitwise_and((1 << bits) - 1).view({rows, -1});
  }
  const auto part = [&](std::int64_t at, std::int64_t width) { return scales().value.narrow(0, at + begin * layout_.groups * width, rows * layout_.groups * width); };
  const auto g_idx = scales().value.narrow(0, 0, layout_.scales_at()).view(at::kInt).to(at::kLong);
  const auto zeros = part(layout_.zeros_at(), 1).view({rows, -1}).to(at::kFloat).index_select(1, g_idx);
  return codes.to(at::kFloat).sub_(zeros).mul_(part(layout_.scales_at(), 2).view(at::kHalf).view({rows, -1}).to(at::kFloat).index_select(1, g_idx));
}

GptqMatrix GptqWeight::rounded(std::int64_t begin, std::int64_t end, const ReadDense& dense) const {
  const auto values = at::empty({end - begin, in()}, at::kFloat);
  dense(begin * in(), values.view(-1));
  return round_to_nearest(values, {.bits = layout_.bits, .group_size = in() / layout_.groups});
}

void GptqWeight::read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const {
  if (&part == &scales()) {
    const auto g_idx = at::arange(in(), at::kInt).floor_divide_(in() / layout_.groups);
    return layout_.read_scales(begin, out, g_idx, [&](auto first, auto last) { return rounded(first, last, dense).scales; },
                               [&](auto first, auto last) { return rounded(first, last, dense).zeros; });
  }
  copy_rows(begin, out, 0, this->out(), layout_.row_bytes(), std::max<std::int64_t>(1, kReadElements / in()),
            [&](auto first, auto last) { return packed_rows(rounded(first, last, dense).codes, layout_.bits); });
}

}  // namespace herd
