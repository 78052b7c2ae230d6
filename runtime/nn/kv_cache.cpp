#include "runtime/nn/kv_cache.h"

#include <cstddef>
#include <cstring>

#include "runtime/nn/int8.h"

namespace herd {
namespace {

// A token's head at a time. Here as in put(), a tensor operation would cost more to call than one new token to do.
void quantise(const Tensor& x_tke, std::int8_t* codes, float* scales) {
  const auto x = x_tke.to(at::kFloat).contiguous();
  const auto width = x.size(2);
  const auto* row = x.const_data_ptr<float>();
  for (std::int64_t i = 0; i < x.size(0) * x.size(1); ++i, row += width, codes += width) scales[i] = kernel::quantise_int8(row, width, codes) / 127;
}

}  // namespace

KvSlab::KvSlab(std::int64_t capacity, std::int64_t kv_heads, std::int64_t width, const at::TensorOptions& options, bool int8)
    : numbers(at::empty({capacity, kv_heads, width}, int8 ? options.dtype(at::kChar) : options)),
      scales(int8 ? at::empty({capacity, kv_heads}, options.dtype(at::kFloat)) : Tensor()) {}

void KvSlab::put(std::int64_t at, const Tensor& x_tke) {
  const auto count = x_tke.size(0);
  if (!is_int8() && numbers.is_cpu() && x_tke.is_cpu() && x_tke.is_contiguous() && x_tke.scalar_type() == numbers.scalar_type()) {
    std::memcpy(static_cast<std::byte*>(numbers.mutable_data_ptr()) + at * numbers.stride(0) * numbers.element_size(), x_tke.const_data_ptr(), x_tke.nbytes());
  } else if (!is_int8()) {
    numbers.narrow(0, at, count).copy_(x_tke);
  } else if (numbers.is_cpu()) {
    quantise(x_tke, numbers.mutable_data_ptr<std::int8_t>() + at * numbers.stride(0), scales.mutable_data_ptr<float>() + at * scales.stride(0));
  } else {
    const auto x = x_tke.to(at::kFloat), absmax = x.abs().amax(-1);
    numbers.narrow(0, at, count).copy_((x * (127 / absmax.clamp_min(1e-30)).unsqueeze(-1)).round());
    scales.narrow(0, at, count).copy_(absmax / 127);
  }
}

Tensor KvSlab::get(std::int64_t at, std::int64_t count, at::ScalarType dtype) const {
  const auto some = numbers.narrow(0, at, count);
  return is_int8() ? (some.to(at::kFloat) * scales.narrow(0, at, count).unsqueeze(-1)).to(dtype) : some;
}

void KvSlab::copy_beginning(const KvSlab& from, std::int64_t count) {
  numbers.narrow(0, 0, count).copy_(from.numbers.narrow(0, 0, count));
  if (is_int8()) scales.narrow(0, 0, count).copy_(from.scales.narrow(0, 0, count));
}

}  // namespace herd
