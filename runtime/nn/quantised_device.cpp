// libherd_cuda: the loops of device_kernels.h, by those that nvcc has compiled.
#include "runtime/nn/quantised_device.h"

#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/nn/device_kernels.h"

namespace herd {
namespace {

device::Number number_of(const Tensor& x) {
  return x.scalar_type() == at::kFloat ? device::Number::kFloat : x.scalar_type() == at::kBFloat16 ? device::Number::kBFloat16 : device::Number::kHalf;
}

// What tensors stand for here: their device's current stream.
cudaStream_t stream_of(const Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.device().index()).stream(); }

void need(cudaError_t code, const char* loop) {
  if (code == cudaSuccess) return;
  throw ConfigError({.who = std::string("a quantised matrix on CUDA (") + loop + ")", .found = cudaGetErrorString(code), .expected = "success",
                     .remedy = "HERD_CUDA_ARCHITECTURES must name this GPU's compute capability, or an older one of its kind"});
}

device::FourBit plain(const DeviceFourBit& w) {
  device::FourBit plain{.values = {}, .dynamic = {}, .block_bits = w.block_bits, .in = w.in, .codes = w.codes, .scales = w.scales, .bytes = w.bytes};
  std::copy(w.book->values.begin(), w.book->values.end(), plain.values);
  std::copy(kernel::dynamic_book().begin(), kernel::dynamic_book().end(), plain.dynamic);
  return plain;
}
device::Int8 plain(const DeviceInt8& w) { return {.in = w.in, .codes = w.codes, .absmax = w.absmax}; }

float below(float threshold) { return threshold > 0 ? threshold : INFINITY; }

device::Tile place(const Tensor& tile_rc, std::int64_t first_row, std::int64_t first_column) {
  return {.first_row = first_row, .first_column = first_column, .rows = tile_rc.size(0), .columns = tile_rc.size(1), .to = tile_rc.mutable_data_ptr()};
}

void dequantise_four_bit(const DeviceFourBit& w, std::int64_t first_row, std::int64_t first_column, const Tensor& tile_rc) {
  need(device::dequantise(plain(w), place(tile_rc, first_row, first_column), number_of(tile_rc), stream_of(tile_rc)), "dequantise");
}

void dequantise_int8(const DeviceInt8& w, std::int64_t first_row, std::int64_t first_column, const Tensor& tile_rc) {
  need(device::dequantise(plain(w), place(tile_rc, first_row, first_column), number_of(tile_rc), stream_of(tile_rc)), "dequantise");
}

void scale_int8(const DeviceInt8& w, std::int64_t first_row, const Tensor& products_nr, const Tensor& absmax_n, const Tensor& left_out_nr,
                const Tensor& y_nr) {
  const device::Scaling s{.products = products_nr.const_data_ptr<std::int32_t>(), .x_absmax = absmax_n.const_data_ptr<float>(),
                          .w_absmax = w.absmax + first_row, .left_out = left_out_nr.defined() ? left_out_nr.const_data_ptr<float>() : nullptr,
                          .n = y_nr.size(0), .r = y_nr.size(1), .y_stride = y_nr.stride(0), .y = y_nr.mutable_data_ptr()};
  need(device::scale(s, number_of(y_nr), stream_of(y_nr)), "scale");
}

void multiply_four_bit(const DeviceFourBit& w, const Tensor& x_ni, const Tensor& y_no) {
  need(device::multiply(plain(w), x_ni.const_data_ptr(), x_ni.size(0), y_no.size(1), number_of(x_ni), y_no.mutable_data_ptr(), stream_of(x_ni)),
       "multiply");
}

void multiply_int8(const DeviceInt8& w, const Tensor& x_ni, const Tensor& codes_ni, const Tensor& absmax_n, const Tensor& left_out_n,
                   float threshold, const Tensor& y_no) {
  const device::Int8Inputs inputs{.x = x_ni.const_data_ptr(), .codes = codes_ni.const_data_ptr<std::int8_t>(),
                                  .absmax = absmax_n.const_data_ptr<float>(), .left_out = left_out_n.const_data_ptr<std::uint8_t>(),
                                  .below = below(threshold)};
  need(device::multiply(plain(w), inputs, x_ni.size(0), y_no.size(1), number_of(x_ni), y_no.mutable_data_ptr(), stream_of(x_ni)), "multiply");
}

void quantise_int8(const Tensor& x_ni, float threshold, const Tensor& codes_ni, const Tensor& absmax_n, const Tensor& left_out_n) {
  need(device::quantise(x_ni.const_data_ptr(), x_ni.size(0), x_ni.size(1), below(threshold), number_of(x_ni), codes_ni.mutable_data_ptr<std::int8_t>(),
                        absmax_n.mutable_data_ptr<float>(), left_out_n.mutable_data_ptr<std::uint8_t>(), stream_of(x_ni)),
       "quantise");
}

}  // namespace

const DeviceKernels& cuda_kernels() {
  static const DeviceKernels kernels{.dequantise_four_bit = dequantise_four_bit, .dequantise_int8 = dequantise_int8,
                                     .multiply_four_bit = multiply_four_bit, .multiply_int8 = multiply_int8, .quantise_int8 = quantise_int8, .scale_int8 = scale_int8};
  return kernels;
}

}  // namespace herd
