#include "runtime/nn/four_bit_weight.h"

#include <bit>

#include "runtime/base/error.h"
#include "runtime/nn/on_cpu.h"
#include "runtime/tensor/dtype.h"

namespace herd {
namespace {

constexpr std::int64_t kFloatBytes = sizeof(float);
constexpr std::int64_t kReadElements = 4 << 20;  // of the dense matrix at a time, a multiple of every block

// Elements [begin, end) of the dense matrix, a stretch at a time: f(first element, values).
template <class F>
void each_stretch(std::int64_t begin, std::int64_t end, const ReadDense& dense, F f) {
  const auto buffer = at::empty({std::min(kReadElements, end - begin)}, at::kFloat);
  for (auto at = begin; at < end; at += kReadElements) {
    const auto values = buffer.narrow(0, 0, std::min(kReadElements, end - at));
    dense(at, values);
    f(at, values);
  }
}

// f(numbers, how many, block's place among them), by all threads.
template <class F>
void each_block(const Tensor& values, std::int64_t block, F f) {
  const auto n = values.numel();
  parallel_rows((n + block - 1) / block, block, [&](std::int64_t first, std::int64_t last) {
    for (auto i = first; i < last; ++i) f(data_of<float>(values) + i * block, std::min(block, n - i * block), i);
  });
}

std::int64_t scale_bytes(const Parameter& dense, std::int64_t block, bool double_quant) {
  const auto blocks = (dense.value.numel() + block - 1) / block;
  if (!double_quant) return blocks * kFloatBytes;
  return kFloatBytes * (1 + (blocks + kernel::kNestedBlock - 1) / kernel::kNestedBlock) + blocks;
}

}  // namespace

FourBitWeight::FourBitWeight(const kernel::FourBitBook& book, const Parameter& dense, std::int64_t block, bool double_quant)
    : QuantisedWeight(dense, {dense.value.size(0), dense.value.size(1) / 2}, scale_bytes(dense, block, double_quant)), book_(book),
      block_(block), block_bits_(std::countr_zero(static_cast<std::uint64_t>(block))), double_(double_quant) {
  if (in() % 2 != 0)
    throw ConfigError({.who = dense.name,
                      .found = shape_text(dense.value.sizes()),
                      .expected = "an even number of inputs: two numbers share a byte",
                      .remedy = "name it in model.quantization.skip_modules"});
}

// Laid out: with double quantisation the mean, one fp32 a kNestedBlock, and a byte a block; else one fp32 a block.
template <class F>
void FourBitWeight::each_piece(std::int64_t row, std::int64_t begin, std::int64_t n, F f) const {
  constexpr std::int64_t kBlocks = 256;
  float buffer[kBlocks];
  const auto* floats = scale_floats();
  const auto* codes = code_bytes();
  const auto end = row * in() + begin + n;
  for (auto at = row * in() + begin; at < end;) {
    const auto first = at >> block_bits_, to = std::min(end, (first + kBlocks) << block_bits_), count = ((to - 1) >> block_bits_) + 1 - first;
    const float* absmax = floats + first;
    if (double_) {
      const auto* scales = reinterpret_cast<const std::uint8_t*>(floats + 1 + nested());
      kernel::expand_absmax(scales, floats + 1, floats[0], first, count, buffer);
      absmax = buffer;
    }
    f(kernel::FourBitStretch{&book_, block_bits_, codes, absmax, at, to - at}, at - row * in() - begin);
    at = to;
  }
}

void FourBitWeight::dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, float* to) const {
  each_piece(row, begin, n, [&](const kernel::FourBitStretch& w, std::int64_t offset) { kernel::dequantise(w, to + offset); });
}
void FourBitWeight::dequantise(std::int64_t row, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const {
  each_piece(row, begin, n, [&](const kernel::FourBitStretch& w, std::int64_t offset) { kernel::dequantise(w, to + offset); });
}

Tensor FourBitWeight::few_rows(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  auto y_no = at::empty({n, out()}, x_ni.options());
  const auto apart = x_ni.view({n, in() / 2, 2}).transpose(1, 2).contiguous();  // even places, then odd ones
  if (x_ni.is_meta()) return y_no;
  const auto* x = data_of<float>(apart);
  auto* y = data_of<float>(y_no);
  parallel_rows(out(), in(), [&](std::int64_t begin, std::int64_t end) {
    for (auto row = begin; row < end; ++row)
      for (std::int64_t i = 0; i < n; ++i) {
        float sum = 0;
        each_piece(row, 0, in(), [&](const kernel::FourBitStretch& w, std::int64_t offset) {
          sum += kernel::dot(w, x + i * in() + offset / 2, x + i * in() + (in() + offset) / 2);
        });
        y[i * out() + row] = sum;
      }
  });
  return y_no;
}

DeviceFourBit FourBitWeight::on_device() const {
  const auto* floats = scale_floats();
  return {.book = &book_, .block_bits = block_bits_, .in = in(), .codes = code_bytes(), .scales = floats,
          .bytes = double_ ? reinterpret_cast<const std::uint8_t*>(floats + 1 + nested()) : nullptr};
}

Tensor FourBitWeight::product_on_device(const Tensor& x_ni) const {
  const auto* kernels = device_kernels(x_ni);
  if (!kernels || x_ni.size(0) > DeviceKernels::kMostRows || in() % DeviceKernels::kUnit != 0) return QuantisedWeight::product_on_device(x_ni);
  auto y_no = at::empty({x_ni.size(0), out()}, x_ni.options());
  kernels->multiply_four_bit(on_device(), x_ni.contiguous(), y_no);
  return y_no;
}

bool FourBitWeight::fill_by_kernel(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const {
  const auto* kernels = device_kernels(tile);
  if (kernels) kernels->dequantise_four_bit(on_device(), first_row, first_column, tile);
  return kernels != nullptr;
}

Tensor FourBitWeight::dequantised(std::int64_t begin, std::int64_t end) const {
  const auto codes = this->codes().value.narrow(0, begin, end - begin);
  const auto values = at::tensor(at::ArrayRef<float>(book_.values), codes.options().dtype(at::kFloat));
  const auto places = at::stack({codes.bitwise_right_shift(4), codes.bitwise_and(15)}, -1).to(at::kInt).view({-1});
  const auto first = begin * in() / block_, last = (end * in() - 1) / block_ + 1;
  const auto floats = [&](std::int64_t from, std::int64_t count) { return scales().value.narrow(0, from * kFloatBytes, count * kFloatBytes).view(at::kFloat); };
  Tensor absmax;
  if (double_) {
    const auto book = at::tensor(at::ArrayRef<float>(kernel::dynamic_book()), values.options());
    const auto of_blocks = scales().value.narrow(0, (1 + nested()) * kFloatBytes + first, last - first).to(at::kInt);
    const auto outer = at::arange(first, last, values.options().dtype(at::kLong)).floor_divide(kernel::kNestedBlock);
    absmax = book.index_select(0, of_blocks).mul_(floats(1, nested()).index_select(0, outer)).add_(floats(0, 1));
  } else {
    absmax = floats(first, last - first);
  }
  const auto element = at::arange(begin * in(), end * in(), values.options().dtype(at::kLong)).floor_divide(block_).sub_(first);
  return values.index_select(0, places).mul_(absmax.index_select(0, element)).view({end - begin, in()});
}

void FourBitWeight::read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const {
  if (out.numel() == 0) return;
  const auto end = begin + out.numel();
  if (&part == &scales()) {
    if (double_) {
      out.copy_(double_quantised(dense).narrow(0, begin, out.numel()));
    } else {
      const auto first = begin / kFloatBytes;
      const auto bytes = absmax_of(first, (end - 1) / kFloatBytes + 1, dense).view(at::kByte);
      out.copy_(bytes.narrow(0, begin - first * kFloatBytes, out.numel()));
    }
    return;
  }
  const auto elements = this->out() * in();
  const auto from = begin * 2 / block_ * block_, to = std::min(elements, (end * 2 + block_ - 1) / block_ * block_);
  const auto codes = at::empty({std::min(kReadElements, to - from) / 2}, at::kByte);
  each_stretch(from, to, dense, [&](std::int64_t at, const Tensor& values) {
    each_block(values, block_, [&](const float* x, std::int64_t n, std::int64_t block) {
      kernel::quantise_four_bit(book_, x, n, data_of<std::uint8_t>(codes) + block * block_ / 2);
    });
    const auto first = std::max(begin, at / 2), last = std::min(end, (at + values.numel()) / 2);
    out.narrow(0, first - begin, last - first).copy_(codes.narrow(0, first - at / 2, last - first));
  });
}

// Of blocks [first, last).
Tensor FourBitWeight::absmax_of(std::int64_t first, std::int64_t last, const ReadDense& dense) const {
  auto all = at::empty({last - first}, at::kFloat);
  each_stretch(first * block_, std::min(last * block_, out() * in()), dense, [&](std::int64_t at, const Tensor& values) {
    each_block(values, block_, [&](const float* x, std::int64_t n, std::int64_t block) {
      data_of<float>(all)[at / block_ - first + block] = kernel::greatest_magnitude(x, n);
    });
  });
  return all;
}

// The mean is that of all blocks: whoever needs one byte of these reads the whole matrix once. It is summed by one thread: the same bits everywhere.
Tensor FourBitWeight::double_quantised(const ReadDense& dense) const {
  const auto absmax = absmax_of(0, blocks(), dense);
  const auto mean = [&] {
    const c10::ParallelGuard alone(true);
    return absmax.mean();
  }();
  const auto bytes = at::empty({scales().value.numel()}, at::kByte);
  auto* floats = reinterpret_cast<float*>(data_of<std::uint8_t>(bytes));
  const auto rest = absmax - mean;
  floats[0] = mean.item<float>();
  const auto* x = data_of<float>(rest);
  auto* codes = reinterpret_cast<std::uint8_t*>(floats + 1 + nested());
  parallel_rows(nested(), kernel::kNestedBlock, [&](std::int64_t first, std::int64_t last) {
    for (auto i = first; i < last; ++i) {
      const auto begin = i * kernel::kNestedBlock;
      floats[1 + i] = kernel::quantise_dynamic(x + begin, std::min(kernel::kNestedBlock, blocks() - begin), codes + begin);
    }
  });
  return bytes;
}

}  // namespace herd
