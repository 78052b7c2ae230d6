#include "runtime/nn/quantised_weight.h"

#include <torch/csrc/autograd/custom_function.h>

#include "runtime/nn/matmul.h"
#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Below this many rows reading the codes costs more than computing with them does.
constexpr std::int64_t kFewRows = 4;
// Smaller tiles stay nearer to the core, but each product packs its other side anew (oneDNN): 512 tokens times 4096 inputs, a tile of 1 MiB
// at a time, took clearly longer than by 4 MiB (one thread, a busy machine).
constexpr std::int64_t kTileBytes = 4 << 20;

// It saves nothing: the codes are there again when the backward runs, as every parameter's memory is.
struct QuantisedProduct : Function<QuantisedProduct> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, QuantisedWeight* weight) {
    ctx->saved_data["weight"] = reinterpret_cast<std::int64_t>(weight);
    return weight->product(x);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    auto* weight = reinterpret_cast<QuantisedWeight*>(ctx->saved_data["weight"].toInt());
    return {weight->input_gradient(grads[0]), Tensor()};
  }
};

Parameter part(at::IntArrayRef shape, const std::vector<std::string>& axes) {
  Parameter p;
  p.value = at::empty(shape, at::TensorOptions().device(at::kMeta).dtype(at::kByte));
  p.axes = axes;
  p.trainable = false;
  return p;
}

std::vector<std::int64_t> with_last(const Tensor& x, std::int64_t size) {
  auto shape = x.sizes().vec();
  shape.back() = size;
  return shape;
}

// What a tile is dequantised in: the dtype of the product where the loops know it.
at::ScalarType tile_type(const Tensor& x) { return x.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat; }

// Where memory is counted alone, one thread's tile is made; the others' stand beside it.
Tensor of_other_threads(const Tensor& like, std::int64_t elements) {
  return like.is_meta() ? at::empty({at::get_num_threads() - 1, elements}, like.options()) : Tensor();
}

}  // namespace

QuantisedWeight::QuantisedWeight(const Parameter& dense, at::IntArrayRef code_shape, std::int64_t scale_bytes)
    : out_(dense.value.size(0)), in_(dense.value.size(1)), codes_(part(code_shape, dense.axes)), scales_(part({scale_bytes}, {"scales"})) {}

void QuantisedWeight::visit(Visitor& v) {
  v("weight", codes_);
  v("weight.scales", scales_);
}

Tensor QuantisedWeight::multiply(const Tensor& x) {
  return at::GradMode::is_enabled() && x.requires_grad() ? QuantisedProduct::apply(x, this) : product(x);
}

Tensor QuantisedWeight::product(const Tensor& x) const {
  const at::NoGradGuard no_grad;
  const auto x_ni = x.reshape({-1, in_});
  const auto shape = with_last(x, out_);
  if (x.numel() == 0) return at::empty(shape, x.options());
  if (!x.is_cpu() && !x.is_meta()) return product_on_device(x_ni).view(shape);
  if (x_ni.size(0) > kFewRows) return many_rows(x_ni.contiguous()).view(shape);
  return few_rows(x_ni.to(at::kFloat).contiguous()).to(x.scalar_type()).view(shape);
}

// Each tile's part of the result is whole: no sum runs over tiles.
Tensor QuantisedWeight::many_rows(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  auto y_no = at::empty({n, out_}, x_ni.options());
  const auto dtype = tile_type(x_ni);
  const auto width = tile_width(out_, in_, static_cast<std::int64_t>(c10::elementSize(dtype)), 16);
  const auto others = of_other_threads(x_ni, width * (in_ + n));
  const auto extent = x_ni.is_meta() ? std::min(out_, width) : out_;
  each_tile(extent, width, width * in_, x_ni.options().dtype(dtype), [&](std::int64_t begin, std::int64_t end, const Tensor& memory) {
    const auto w = memory.narrow(0, 0, (end - begin) * in_).view({end - begin, in_});
    fill_tile(w, begin, 0);
    y_no.narrow(1, begin, end - begin).copy_(matmul_transposed(x_ni, w.to(x_ni.scalar_type())));
  });
  return y_no;
}

Tensor QuantisedWeight::input_gradient(const Tensor& grad) {
  const at::NoGradGuard no_grad;
  const auto g_no = grad.reshape({-1, out_}).contiguous();
  const auto shape = with_last(grad, in_);
  if (grad.numel() == 0) return at::empty(shape, grad.options());
  if (!grad.is_cpu() && !grad.is_meta()) return gradient_on_device(g_no).view(shape);
  auto x_ni = at::empty({g_no.size(0), in_}, g_no.options());
  const auto dtype = tile_type(g_no);
  const auto width = tile_width(in_, out_, static_cast<std::int64_t>(c10::elementSize(dtype)), 64);
  const auto others = of_other_threads(g_no, width * (out_ + g_no.size(0)));
  const auto extent = grad.is_meta() ? std::min(in_, width) : in_;
  each_tile(extent, width, out_ * width, g_no.options().dtype(dtype), [&](std::int64_t begin, std::int64_t end, const Tensor& memory) {
    const auto w = memory.narrow(0, 0, out_ * (end - begin)).view({out_, end - begin});
    fill_tile(w, 0, begin);
    x_ni.narrow(1, begin, end - begin).copy_(frozen_input_gradient(g_no, w.to(g_no.scalar_type())));
  });
  return x_ni.view(shape);
}

Tensor QuantisedWeight::gradient_on_device(const Tensor& g_no) const {
  auto x_ni = at::empty({g_no.size(0), in_}, g_no.options());
  constexpr std::int64_t kColumns = 1024;  // narrower products take twice as long (11008 outputs, an H100)
  const auto width = std::max(kColumns, kDeviceTile / out_ / 64 * 64);
  const auto memory = at::empty({out_ * std::min(width, in_)}, g_no.options());
  for (std::int64_t begin = 0; begin < in_; begin += width) {
    const auto count = std::min(width, in_ - begin);
    const auto w = memory.narrow(0, 0, out_ * count).view({out_, count});
    if (!fill_by_kernel(w, 0, begin)) return gradient_by_rows(g_no);
    auto part = x_ni.narrow(1, begin, count);
    at::mm_out(part, g_no, w);
  }
  return x_ni;
}

// Tensor operations dequantise whole rows: their shares are added up.
Tensor QuantisedWeight::gradient_by_rows(const Tensor& g_no) const {
  auto sum_ni = at::zeros({g_no.size(0), in_}, g_no.options().dtype(wide_type(g_no)));
  const auto rows = std::max<std::int64_t>(16, kDeviceTile / in_);
  for (std::int64_t begin = 0; begin < out_; begin += rows) {
    const auto count = std::min(rows, out_ - begin);
    sum_ni.add_(at::mm(g_no.narrow(1, begin, count), dequantised(begin, begin + count).to(g_no.scalar_type())));
  }
  return sum_ni.to(g_no.scalar_type());
}

Tensor QuantisedWeight::dense() const {
  const at::NoGradGuard no_grad;
  if (!codes_.value.is_cpu()) return dequantised(0, out_);
  const auto whole = at::empty({out_, in_}, at::kFloat);
  fill_tile(whole, 0, 0);
  return whole;
}

bool QuantisedWeight::fill_by_kernel(const Tensor&, std::int64_t, std::int64_t) const { return false; }

Tensor QuantisedWeight::product_on_device(const Tensor& x_ni) const {
  auto y_no = at::empty({x_ni.size(0), out_}, x_ni.options());
  const auto rows = std::max<std::int64_t>(16, kDeviceTile / in_);
  const auto memory = at::empty({std::min(rows, out_), in_}, x_ni.options());
  for (std::int64_t begin = 0; begin < out_; begin += rows) {
    const auto w = memory.narrow(0, 0, std::min(rows, out_ - begin));
    if (!fill_by_kernel(w, begin, 0)) w.copy_(dequantised(begin, begin + w.size(0)));
    auto part = y_no.narrow(1, begin, w.size(0));
    at::mm_out(part, x_ni, w.t());
  }
  return y_no;
}

// Elements of the matrix from this row and column on.
void QuantisedWeight::fill_tile(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const {
  const auto columns = tile.size(1);
  with_storage(tile, [&]<class S>(std::type_identity<S>) {
    parallel_rows(tile.size(0), columns, [&](std::int64_t begin, std::int64_t end) {
      for (auto row = begin; row < end; ++row) dequantise(first_row + row, first_column, columns, data_of<S>(tile) + row * columns);
    });
  });
}

void QuantisedWeight::each_tile(std::int64_t extent, std::int64_t width, std::int64_t elements, const at::TensorOptions& like,
                                const std::function<void(std::int64_t, std::int64_t, const Tensor&)>& f) {
  at::parallel_for(0, (extent + width - 1) / width, 1, [&](std::int64_t first, std::int64_t last) {
    const at::NoGradGuard no_grad;  // a thread's own
    const auto memory = at::empty({elements}, like);
    for (auto i = first; i < last; ++i) f(i * width, std::min(extent, (i + 1) * width), memory);
  });
}

std::int64_t QuantisedWeight::tile_width(std::int64_t extent, std::int64_t length, std::int64_t element_size, std::int64_t unit) {
  const auto fits = std::max<std::int64_t>(1, kTileBytes / (length * element_size));
  const auto threads = static_cast<std::int64_t>(at::get_num_threads());
  const auto whole = std::max(threads, (extent + fits - 1) / fits);
  const auto tiles = (whole + threads - 1) / threads * threads;
  const auto width = (extent + tiles - 1) / tiles;
  return (width + unit - 1) / unit * unit;
}

}  // namespace herd
