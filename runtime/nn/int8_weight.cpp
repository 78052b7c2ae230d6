#include "runtime/nn/int8_weight.h"

#include <algorithm>
#include <cmath>

#include "runtime/nn/int8.h"
#include "runtime/nn/on_cpu.h"

namespace herd {
namespace {

constexpr std::int64_t kReadElements = 4 << 20;  // of the dense matrix at a time

// Rows [begin, end) of the dense matrix, some at a time: f(first row, values [rows, in]).
template <class F>
void each_stretch(std::int64_t begin, std::int64_t end, std::int64_t in, const ReadDense& dense, F f) {
  const auto most = std::max<std::int64_t>(1, kReadElements / in);
  const auto buffer = at::empty({std::min(most, end - begin), in}, at::kFloat);
  for (auto row = begin; row < end; row += most) {
    const auto values = buffer.narrow(0, 0, std::min(most, end - row));
    dense(row * in, values.view(-1));
    f(row, values);
  }
}

}  // namespace

// What the product needs of its input.
struct Int8Weight::Inputs {
  Tensor codes_ni;                       // int8
  Tensor absmax_n;                       // fp32
  std::vector<std::int64_t> columns;     // in which anything was left out, ascending
  Tensor left_out_nk;                    // fp32, of these columns: what was left out, else 0
};

Int8Weight::Int8Weight(const Parameter& dense, double threshold)
    : QuantisedWeight(dense, dense.value.sizes(), dense.value.size(0) * static_cast<std::int64_t>(sizeof(float))),
      threshold_(static_cast<float>(threshold)) {}

// Steps of 1/127 of a token's greatest magnitude, which lies some four times its rms out; rounding is uniform within a step.
double Int8Weight::input_rounding() const { return 4 / (127 * std::sqrt(12.0)); }

void Int8Weight::dequantise(std::int64_t i, std::int64_t begin, std::int64_t n, float* to) const {
  kernel::dequantise(row(i) + begin, scale_floats()[i], n, to);
}
void Int8Weight::dequantise(std::int64_t i, std::int64_t begin, std::int64_t n, kernel::Bf16* to) const {
  kernel::dequantise(row(i) + begin, scale_floats()[i], n, to);
}

Int8Weight::Inputs Int8Weight::quantise_inputs(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  const auto x = x_ni.to(at::kFloat);
  Inputs inputs{.codes_ni = at::empty({n, in()}, x.options().dtype(at::kChar)), .absmax_n = at::empty({n}, x.options()), .columns = {}, .left_out_nk = {}};
  if (x.is_meta()) return inputs;
  std::vector<char> touched(static_cast<std::size_t>(n));
  parallel_rows(n, in(), [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) {
      bool any = false;
      data_of<float>(inputs.absmax_n)[i] =
          kernel::quantise_int8(data_of<float>(x) + i * in(), in(), threshold_, data_of<std::int8_t>(inputs.codes_ni) + i * in(), any);
      touched[static_cast<std::size_t>(i)] = any;
    }
  });
  const auto each_left_out = [&](auto f) {
    const auto below = threshold_ > 0 ? threshold_ : INFINITY;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto* row = data_of<float>(x) + i * in();
      for (std::int64_t k = 0; touched[static_cast<std::size_t>(i)] && k < in(); ++k)
        if (!(std::fabs(row[k]) < below)) f(i, static_cast<std::size_t>(k), row[k]);
    }
  };
  std::vector<std::int64_t> column_of(static_cast<std::size_t>(in()), -1);
  each_left_out([&](std::int64_t, std::size_t k, float) { column_of[k] = 0; });
  for (std::size_t k = 0; k < column_of.size(); ++k) {
    if (column_of[k] < 0) continue;
    column_of[k] = static_cast<std::int64_t>(inputs.columns.size());
    inputs.columns.push_back(static_cast<std::int64_t>(k));
  }
  const auto columns = static_cast<std::int64_t>(inputs.columns.size());
  if (columns == 0) return inputs;
  inputs.left_out_nk = at::zeros({n, columns}, x.options());
  each_left_out([&](std::int64_t i, std::size_t k, float value) { data_of<float>(inputs.left_out_nk)[i * columns + column_of[k]] = value; });
  return inputs;
}

// What was left out of the inputs, times rows [begin, end) of the dequantised matrix: [n, rows], or nothing.
Tensor Int8Weight::left_out(const Inputs& inputs, std::int64_t begin, std::int64_t end) const {
  if (inputs.columns.empty()) return {};
  const auto columns = static_cast<std::int64_t>(inputs.columns.size());
  const auto w_rk = at::empty({end - begin, columns}, inputs.left_out_nk.options());
  for (auto i = begin; i < end; ++i)
    for (std::int64_t k = 0; k < columns; ++k)
      dequantise(i, inputs.columns[static_cast<std::size_t>(k)], 1, data_of<float>(w_rk) + (i - begin) * columns + k);
  return at::mm(inputs.left_out_nk, w_rk.t());
}

Tensor Int8Weight::few_rows(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  auto y_no = at::empty({n, out()}, x_ni.options());
  const auto inputs = quantise_inputs(x_ni);
  if (x_ni.is_meta()) return y_no;
  const auto* x = data_of<std::int8_t>(inputs.codes_ni);
  parallel_rows(out(), in(), [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;
    std::vector<std::int32_t> products(static_cast<std::size_t>(end - begin));
    const auto rest = left_out(inputs, begin, end);
    for (std::int64_t i = 0; i < n; ++i) {
      for (auto j = begin; j < end; ++j) products[static_cast<std::size_t>(j - begin)] = kernel::dot(row(j), x + i * in(), in());
      kernel::scale_products(products.data(), data_of<float>(inputs.absmax_n)[i], scale_floats() + begin,
                             rest.defined() ? data_of<float>(rest) + i * (end - begin) : nullptr, end - begin, data_of<float>(y_no) + i * out() + begin);
    }
  });
  return y_no;
}

// Integers do not round: the same sums as few_rows makes, however they are tiled.
Tensor Int8Weight::many_rows(const Tensor& x_ni) const {
  const auto n = x_ni.size(0);
  const auto known = has_kernel(x_ni);
  auto y_no = at::empty({n, out()}, known ? x_ni.options() : x_ni.options().dtype(at::kFloat));
  const auto inputs = quantise_inputs(x_ni);
  const auto width = tile_width(out(), std::max(in(), n * static_cast<std::int64_t>(sizeof(std::int32_t))), 1, 16);
  const auto codes = codes_as_int8();
  const auto extent = x_ni.is_meta() ? std::min(out(), width) : out();
  each_tile(extent, width, n * width, x_ni.options().dtype(at::kInt), [&](std::int64_t begin, std::int64_t end, const Tensor& memory) {
    if (memory.is_meta()) return;  // whose product of whole numbers libtorch does not know
    auto products = memory.narrow(0, 0, n * (end - begin)).view({n, end - begin});
    at::_int_mm_out(products, inputs.codes_ni, codes.narrow(0, begin, end - begin).t());
    const auto rest = left_out(inputs, begin, end);
    with_storage(y_no, [&]<class S>(std::type_identity<S>) {
      for (std::int64_t i = 0; i < n; ++i)
        kernel::scale_products(data_of<std::int32_t>(products) + i * (end - begin), data_of<float>(inputs.absmax_n)[i], scale_floats() + begin,
                               rest.defined() ? data_of<float>(rest) + i * (end - begin) : nullptr, end - begin, data_of<S>(y_no) + i * out() + begin);
    });
  });
  return y_no.to(x_ni.scalar_type());
}

Tensor Int8Weight::dequantised(std::int64_t begin, std::int64_t end) const {
  const auto absmax = scales().value.view(at::kFloat).narrow(0, begin, end - begin);
  return codes_as_int8().narrow(0, begin, end - begin).to(at::kFloat).mul_(absmax.unsqueeze(1)).mul_(1.0 / 127);
}

bool Int8Weight::fill_by_kernel(const Tensor& tile, std::int64_t first_row, std::int64_t first_column) const {
  const auto* kernels = device_kernels(tile);
  if (kernels) kernels->dequantise_int8(on_device(), first_row, first_column, tile);
  return kernels != nullptr;
}

void Int8Weight::read(const Parameter& part, std::int64_t begin, const Tensor& out, const ReadDense& dense) const {
  if (out.numel() == 0) return;
  const bool scale = &part == &scales();
  const auto in_row = scale ? static_cast<std::int64_t>(sizeof(float)) : in(), end = begin + out.numel();
  each_stretch(begin / in_row, (end - 1) / in_row + 1, in(), dense, [&](std::int64_t first, const Tensor& values) {
    const auto rows = values.size(0);
    const auto codes = at::empty({rows, in()}, at::kByte), absmax = at::empty({rows}, at::kFloat);
    parallel_rows(rows, in(), [&](std::int64_t from, std::int64_t to) {
      for (auto i = from; i < to; ++i)
        data_of<float>(absmax)[i] = kernel::quantise_int8(data_of<float>(values) + i * in(), in(), data_of<std::int8_t>(codes) + i * in());
    });
    const auto bytes = (scale ? absmax.view(at::kByte) : codes).view(-1);
    const auto from = std::max(begin, first * in_row), to = std::min(end, (first + rows) * in_row);
    out.narrow(0, from - begin, to - from).copy_(bytes.narrow(0, from - first * in_row, to - from));
  });
}

}  // namespace herd
