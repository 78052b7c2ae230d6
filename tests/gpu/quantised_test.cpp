// Quantised matrices on a GPU: the CPU's numbers to the bit, its products within rounding, by the module's loops and by tensor operations.
#include <gtest/gtest.h>

#include "parallel/comm/cuda_module.h"
#include "runtime/nn/device_kernels.h"
#include "tests/support/errors.h"
#include "tests/support/oracles.h"
#include "tests/support/quantised.h"

namespace herd::test {
namespace {

// Why these tests cannot run here; empty: they can.
const std::string& obstacle() {
  static const std::string why = [] {
    try {
      cuda_module();
      return std::string();
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
  }();
  return why;
}

struct Case {
  std::string method;
  std::int64_t in, out, block;
  bool double_quant;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.method << " " << c.out << "x" << c.in << " by " << c.block; }

// Sums of `in` products of order 1/8: fp32 rounds each to 6e-8, the result is rounded to its dtype.
double bound(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 8e-3 : dtype == at::kHalf ? 1e-3 : 3e-6; }

class OnDevice : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!obstacle().empty()) GTEST_SKIP() << obstacle();
    const auto& c = GetParam();
    const QuantOptions how{.method = c.method, .block_size = c.block, .double_quant = c.double_quant};
    const auto matrix = random({c.out, c.in}, at::kFloat, 3) / 8;
    cpu = std::make_unique<Quantised>(matrix, how);
    gpu = std::make_unique<Quantised>(matrix, how);
    for_each_parameter(*gpu->weight, [](const std::string&, Parameter& p) { p.value = p.value.to(at::kCUDA); });
  }

  void expect_same_products() {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
      for (const std::int64_t rows : {1, 2, 3, 4, 5, 40}) {
        auto x = random({rows, GetParam().in}, at::kFloat, 5);
        x[rows / 2][8] = 40;
        x = x.to(dtype);
        const auto g = random({rows, GetParam().out}, at::kFloat, 6).to(dtype);
        // fp32 wide on both sides: bf16's and fp16's own rounding is that of the result alone.
        EXPECT_LT(relative_deviation(gpu->weight->product(x.to(at::kCUDA)).cpu(), cpu->weight->product(x.to(at::kFloat))), bound(dtype)) << dtype << rows;
        EXPECT_LT(relative_deviation(gpu->weight->input_gradient(g.to(at::kCUDA)).cpu(), cpu->weight->input_gradient(g.to(at::kFloat))), bound(dtype))
            << dtype << rows;
      }
  }

  std::unique_ptr<Quantised> cpu, gpu;
};

TEST_P(OnDevice, DequantisedNumbersAreTheCpusToTheBit) {
  const auto dense = cpu->weight->dense();
  const auto [in, out] = std::pair(GetParam().in, GetParam().out);
  const auto eye = at::eye(in, at::kCUDA);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    // Times the identity, a tile is seen as it is; int8's inputs are whole numbers of steps, of which 1 is 127.
    const auto rows = gpu->weight->input_gradient(at::eye(out, at::kCUDA).to(dtype)).cpu();
    EXPECT_TRUE(at::equal(rows, dense.to(dtype))) << dtype;
  }
  if (GetParam().method != "int8") {
    EXPECT_TRUE(at::equal(gpu->weight->product(eye).cpu(), dense.t()));
  }
  EXPECT_TRUE(at::allclose(gpu->weight->dense().cpu(), dense, 1e-6, 0));
}

TEST_P(OnDevice, ProductsAreTheCpus) {
  ASSERT_NE(device_kernels(at::empty({1}, at::kCUDA)), nullptr);
  expect_same_products();
}

TEST_P(OnDevice, ProductsByTensorOperationsAreTheCpus) {
  use_device_kernels(nullptr);
  expect_same_products();
  use_device_kernels(cuda_module().kernels);
}

TEST_P(OnDevice, WhatIsNoNumberShows) {
  auto x = random({3, GetParam().in}, at::kFloat, 5);
  x[1][2] = std::numeric_limits<float>::quiet_NaN();
  const auto y = gpu->weight->product(x.to(at::kCUDA)).cpu();
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_FALSE(y[0].isnan().any().item<bool>());
  EXPECT_FALSE(y[2].isnan().any().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(All, OnDevice,
                         testing::Values(Case{"int8", 96, 40, 64, true}, Case{"int8", 344, 130, 64, true}, Case{"int8", 34, 6, 64, true},
                                         Case{"nf4", 34, 6, 32, true}, Case{"nf4", 344, 128, 64, true}, Case{"nf4", 2048, 48, 64, false},
                                         Case{"nf4", 4096, 2050, 64, true}, Case{"fp4", 80, 50, 32, true}, Case{"fp4", 172, 64, 128, false}));

}  // namespace
}  // namespace herd::test
