// A frozen linear layer in few bits against the same in dense bf16, in one run, in turn: one token's product (decoding), and the product
// and input gradient of many (training). Medians of the ratios dense / quantised: above 1 the quantised one is faster.
//
//     bench_quantised [out = 4096] [in = 4096] [rows = 512] [pairs = 15] [threads = 2] [layers = 8] [cpu | cuda]
//
// Decoding goes through `layers` matrices in turn, as a model does, so that the dense ones do not stay in a cache.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "bench/timing.h"
#include "parallel/comm/cuda_module.h"
#include "runtime/nn/matmul.h"
#include "runtime/nn/quantise.h"

namespace {

using namespace herd;

std::unique_ptr<QuantisedWeight> quantised(const Tensor& dense, const std::string& method, at::Device device) {
  auto weight = weight_storages().at(method).make(Parameter(dense.sizes(), {"out", "in"}), {.method = method});
  const auto flat = dense.view(-1);
  for_each_parameter(*weight, [&](const std::string&, Parameter& p) {
    auto bytes = at::empty({p.value.numel()}, at::kByte);
    weight->read(p, 0, bytes, [&](std::int64_t from, const Tensor& out) { out.copy_(flat.narrow(0, from, out.numel())); });
    p.value = bytes.view(p.value.sizes()).to(device);
  });
  return weight;
}

/// @return seconds of the dense way, of the quantised one, and the median ratio.
template <class Dense, class Quantised>
std::array<double, 3> compare(std::int64_t pairs, Dense dense, Quantised quantised) {
  std::vector<double> theirs, ours, ratios;
  for (std::int64_t pair = 0; pair <= pairs; ++pair) {
    const bool first = pair % 2 == 0;
    const auto early = first ? seconds(dense) : seconds(quantised), late = first ? seconds(quantised) : seconds(dense);
    if (pair == 0) continue;
    theirs.push_back(first ? early : late), ours.push_back(first ? late : early);
    ratios.push_back(theirs.back() / ours.back());
  }
  return {median(theirs), median(ours), median(ratios)};
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, std::int64_t otherwise) { return argc > i ? std::atoll(argv[i]) : otherwise; };
  const auto out = number(1, 4096), in = number(2, 4096), rows = number(3, 512), pairs = number(4, 15), layers = number(6, 8);
  at::set_num_threads(static_cast<int>(number(5, 2)));
  const at::NoGradGuard no_grad;
  const at::Device device(argc > 7 ? argv[7] : "cpu");
  if (device.is_cuda()) cuda_module();
  const auto there = at::empty({1}, device);
  const auto wait = [&] { there.item(); };  // for all that the device has been given
  std::vector<Tensor> dense;
  for (std::int64_t i = 0; i < layers; ++i) dense.push_back((at::randn({out, in}) * 0.02).to(device, at::kBFloat16));
  const auto x = at::randn({rows, in}).to(device, at::kBFloat16), g = at::randn({rows, out}).to(device, at::kBFloat16), token = x.narrow(0, 0, 1);
  fmt::print("{} x {}, {} threads; bytes, and times of bf16 and of the storage in ms, with their ratio\n", out, in, at::get_num_threads());
  for (const auto& method : weight_storages().names()) {
    std::vector<std::unique_ptr<QuantisedWeight>> weights;
    for (const auto& w : dense) weights.push_back(quantised(w.to(at::kCPU, at::kFloat), method, device));
    std::int64_t bytes = 0;
    for_each_parameter(*weights[0], [&](const std::string&, Parameter& p) { bytes += static_cast<std::int64_t>(p.value.nbytes()); });
    const auto tell = [&](const char* what, std::array<double, 3> found, std::int64_t times) {
      const auto scale = 1e3 / static_cast<double>(times);
      fmt::print("  {:5} {:10} {:8.3f} {:8.3f}   {:.2f}\n", method, what, found[0] * scale, found[1] * scale, found[2]);
    };
    fmt::print("  {:5} {:.3f} of bf16's bytes\n", method, static_cast<double>(bytes) / static_cast<double>(dense[0].nbytes()));
    tell("decode",
         compare(
             pairs,
             [&] {
               for (const auto& w : dense) matmul_transposed(token, w);
              wait();
             },
             [&] {
               for (const auto& w : weights) w->product(token);
              wait();
             }),
         layers);
    tell("forward", compare(pairs, [&] { matmul_transposed(x, dense[0]), wait(); }, [&] { weights[0]->product(x), wait(); }), 1);
    tell("backward", compare(pairs, [&] { frozen_input_gradient(g, dense[0]), wait(); }, [&] { weights[0]->input_gradient(g), wait(); }), 1);
  }
}
