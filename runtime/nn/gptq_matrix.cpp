#include "runtime/nn/gptq_matrix.h"

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/nn/gptq.h"
#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

double greatest_code(const GptqOptions& o) { return static_cast<double>((1 << o.bits) - 1); }

std::int64_t group_of(const GptqOptions& o, std::int64_t in) { return o.group_size == -1 ? in : o.group_size; }

}  // namespace

Tensor GptqMatrix::dequantised() const {
  const auto groups = g_idx.to(at::kLong);
  return (codes.to(at::kFloat) - zeros.to(at::kFloat).index_select(1, groups)) * scales.to(at::kFloat).index_select(1, groups);
}

GptqGrid::GptqGrid(const Tensor& w_rk, const GptqOptions& options) : most_(greatest_code(options)) {
  constexpr double kLeast = 0x1p-24;  // fp16's least number: nothing is divided by zero
  auto low = w_rk.amin(1, /*keepdim=*/true).clamp_max(0), high = w_rk.amax(1, /*keepdim=*/true).clamp_min(0);
  if (options.symmetric) {
    high = at::maximum(low.neg(), high);
    low = high.neg();
  }
  const auto exact = (high - low) / most_;
  scale = exact.to(at::kHalf).to(w_rk.scalar_type()).clamp_min(kLeast);
  zero = options.symmetric ? at::full_like(scale, (most_ + 1) / 2) : (low.neg() / scale).round_().clamp_(0, most_);
}

Tensor GptqGrid::codes(const Tensor& w_rk) const { return (w_rk / scale).round_().add_(zero).clamp_(0, most_); }

std::int64_t gptq_groups(std::int64_t out, std::int64_t in, const GptqOptions& o, const std::string& who) {
  const auto refuse = [&](const std::string& found, const std::string& expected, const std::string& remedy) {
    throw ConfigError({.who = who, .found = found, .expected = expected, .remedy = remedy});
  };
  const auto size = group_of(o, in);
  if (size < 1 || in % size != 0)
    refuse(fmt::format("{} inputs in groups of {}", in, size), "a group size that divides the inputs", "another group size; -1: one group a row");
  if (in * o.bits % 32 != 0 || out * o.bits % 32 != 0)
    refuse(fmt::format("[{}, {}] in {} bits", out, in, o.bits), "rows and columns that fill words of 32 bits",
           "another number of bits, or keep it dense (model.quantization.skip_modules)");
  return in / size;
}

GptqMatrix round_to_nearest(const Tensor& w_oi, const GptqOptions& o) {
  const auto out = w_oi.size(0), in = w_oi.size(1), size = group_of(o, in), groups = in / size;
  const auto in_groups = w_oi.reshape({out * groups, size});
  const GptqGrid grid(in_groups, o);
  return {.codes = grid.codes(in_groups).to(at::kByte).view({out, in}),
          .scales = grid.scale.to(at::kHalf).view({out, groups}),
          .zeros = grid.zero.to(at::kByte).view({out, groups}),
          .g_idx = at::arange(in, at::kInt).floor_divide_(size)};
}

Tensor packed_rows(const Tensor& codes, std::int64_t bits) {
  const auto rows = codes.size(0), n = codes.size(1), bytes = n * bits / 8;
  const auto from = codes.contiguous(), to = at::empty({rows, bytes}, at::kByte);
  parallel_rows(rows, n, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) kernel::pack_codes(static_cast<int>(bits), data_of<std::uint8_t>(from) + i * n, n, data_of<std::uint8_t>(to) + i * bytes);
  });
  return to;
}

Tensor unpacked_rows(const Tensor& packed, std::int64_t bits, std::int64_t begin, std::int64_t end) {
  const auto rows = packed.size(0), bytes = packed.size(1), n = end - begin;
  const auto from = packed.contiguous(), to = at::empty({rows, n}, at::kByte);
  parallel_rows(rows, n, [&](std::int64_t first, std::int64_t last) {
    for (auto i = first; i < last; ++i)
      kernel::unpack_codes(static_cast<int>(bits), data_of<std::uint8_t>(from) + i * bytes, begin, n, data_of<std::uint8_t>(to) + i * n);
  });
  return to;
}

std::vector<std::pair<std::string, Tensor>> published(const GptqMatrix& m, std::int64_t bits, const std::string& name) {
  const auto stored_zeros = m.zeros.t().to(at::kInt).sub_(1).bitwise_and_((1 << bits) - 1).to(at::kByte);
  return {{name + ".qweight", packed_rows(m.codes, bits).view(at::kInt).t().contiguous()},
          {name + ".qzeros", packed_rows(stored_zeros, bits).view(at::kInt)},
          {name + ".scales", m.scales.t().contiguous()},
          {name + ".g_idx", m.g_idx}};
}

}  // namespace herd
