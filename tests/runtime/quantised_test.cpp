// Weights in few bits: against bitsandbytes' own numbers, against dense products of what they stand for, and what they take.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/nn/four_bit_vectors.h"
#include "runtime/nn/matmul.h"
#include "runtime/tensor/crc32.h"
#include "tests/support/assets.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/errors.h"
#include "tests/support/oracles.h"
#include "tests/support/quantised.h"

namespace herd::test {
namespace {

std::uint32_t crc(const Tensor& x) {
  const auto whole = x.contiguous();
  return crc32_of({static_cast<const char*>(whole.const_data_ptr()), static_cast<std::size_t>(whole.nbytes())});
}

Tensor from_hex(const std::string& text, at::ScalarType dtype) {
  auto bytes = at::empty({static_cast<std::int64_t>(text.size() / 2)}, at::kByte);
  for (std::size_t i = 0; i < text.size(); i += 2)
    bytes.data_ptr<std::uint8_t>()[i / 2] = static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes.view(dtype);
}

/// tests/support/quantised_golden.py made it.
const nlohmann::json& golden() {
  static const auto json = nlohmann::json::parse(std::ifstream(source_dir() / "tests/runtime/quantised_golden.json"));
  return json;
}
Tensor golden_weight() {
  return from_hex(golden()["weight"], at::kShort).view({golden()["out"], golden()["in"]}).to(at::kFloat).div_(8192);
}

QuantOptions options(const std::string& method, std::int64_t block = 64, bool double_quant = true) {
  return {.method = method, .block_size = block, .double_quant = double_quant, .group_size = block};
}

TEST(Quantised, FourBitsAreThoseOfBitsandbytes) {
  const auto w = golden_weight();
  EXPECT_EQ(crc(at::tensor(at::ArrayRef<float>(kernel::dynamic_book()))), crc(from_hex(golden()["dynamic"], at::kFloat)));
  for (const auto& given : golden()["four_bit"]) {
    const auto o = options(given["method"], given["block_size"], given["double_quant"]);
    SCOPED_TRACE(describe_quantisation(o));
    const Quantised found(w, o);
    EXPECT_EQ(crc(found.codes), given["codes"]);
    if (o.double_quant) {
      const auto blocks = w.numel() / o.block_size, nested = (blocks + 255) / 256;
      EXPECT_EQ(crc(found.scales.narrow(0, 0, 4)), crc(from_hex(given["offset"], at::kByte)));
      EXPECT_EQ(crc(found.scales.narrow(0, 4, 4 * nested)), given["nested"]);
      EXPECT_EQ(crc(found.scales.narrow(0, 4 + 4 * nested, blocks)), given["absmax"]);
    } else {
      EXPECT_EQ(crc(found.scales), given["absmax"]);
    }
    EXPECT_EQ(crc(found.weight->dense()), given["fp32"]);
    // Times the identity, a product's tiles are seen as they are: one number is added to zeros.
    const auto tile = found.weight->product(at::eye(w.size(1), at::kBFloat16)).t();
    EXPECT_EQ(crc(tile), given["bf16"]);
  }
}

TEST(Quantised, Int8IsThatOfBitsandbytes) {
  const auto w = golden_weight();
  const auto& given = golden()["int8"];
  const Quantised found(w, options("int8"));
  EXPECT_EQ(crc(found.codes), given["codes"]);
  EXPECT_EQ(crc(found.scales), given["absmax"]);
  EXPECT_EQ(crc(found.weight->dense()), given["fp32"]);
  const auto x = from_hex(golden()["inputs"], at::kFloat).view({-1, w.size(1)});
  const auto expected = from_hex(given["product"], at::kFloat).view({-1, w.size(0)});
  ASSERT_EQ(given["outliers"].size(), 2u);
  // Its product is scaled by 6.200124e-05 where 127⁻² is 6.200012e-05: 1.8e-5 of each number, some of which cancel.
  EXPECT_LT(relative_deviation(found.weight->product(x), expected), 3e-5);
  for (std::int64_t row = 0; row < x.size(0); ++row)  // and by the way of few rows
    EXPECT_LT(relative_deviation(found.weight->product(x[row]), expected[row]), 3e-5);
}

// Whatever stretch a rank reads, it gets the bytes of the whole.
TEST(Quantised, IsReadInAnyStretches) {
  const auto w = random({24, 80}, at::kFloat);
  for (const auto& o : {options("int8"), options("nf4", 32), options("nf4", 64, false), options("fp4", 128), options("gptq", 16)}) {
    SCOPED_TRACE(describe_quantisation(o));
    const Quantised whole(w, o);
    for (const std::int64_t stretch : {1, 7, 64}) {
      const Quantised parts(w, o, stretch);
      EXPECT_TRUE(at::equal(parts.codes, whole.codes));
      EXPECT_TRUE(at::equal(parts.scales, whole.scales));
    }
  }
}

struct Case {
  std::string method;
  std::int64_t in, out, block;
  bool double_quant;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.method << " " << c.out << "x" << c.in << " by " << c.block; }

class QuantisedProducts : public testing::TestWithParam<Case> {
 protected:
  QuantOptions how() const { return options(GetParam().method, GetParam().block, GetParam().double_quant); }
  Tensor matrix() const { return random({GetParam().out, GetParam().in}, at::kFloat, 3) / 8; }
};

// Sums of `in` products of order 1/8: fp32 rounds each to 6e-8, bf16 the result to 4e-3 of its size.
double bound(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 8e-3 : dtype == at::kHalf ? 1e-3 : 3e-6; }

TEST_P(QuantisedProducts, AreThoseOfTheDenseMatrix) {
  Quantised q(matrix(), how());
  const auto dense = q.weight->dense();
  const bool exact_inputs = GetParam().method != "int8";
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble})
    for (const std::int64_t rows : {1, 3, 5, 33}) {
      const auto x = random({rows, GetParam().in}, dtype, 5), g = random({rows, GetParam().out}, dtype, 6);
      // int8 rounds an input to 1/127 of its token's greatest, a weight is 1/8: the sum of `in` such errors, as a random walk.
      const auto allowed = exact_inputs ? bound(dtype) : std::max(bound(dtype), 0.0015 * std::sqrt(static_cast<double>(GetParam().in)));
      EXPECT_LT(relative_deviation(q.weight->product(x), at::mm(x.to(at::kDouble), dense.to(at::kDouble).t())), allowed) << dtype << rows;
      EXPECT_LT(relative_deviation(q.weight->input_gradient(g), at::mm(g.to(at::kDouble), dense.to(at::kDouble))), bound(dtype))
          << dtype << rows;
    }
}

// What other devices do, done here.
TEST_P(QuantisedProducts, AreTheSameByTensorOperations) {
  Quantised q(matrix(), how());
  EXPECT_TRUE(at::allclose(q.weight->dequantised(2, 6), q.weight->dense().narrow(0, 2, 4), 1e-6, 0));
  auto x = random({9, GetParam().in}, at::kFloat, 5);
  x[3][8] = 40;
  EXPECT_LT(relative_deviation(q.weight->product_on_device(x), q.weight->product(x)), 3e-6);
  const auto x_16 = x.to(at::kBFloat16);
  EXPECT_LT(relative_deviation(q.weight->product_on_device(x_16), q.weight->product(x_16)), 2 * bound(at::kBFloat16));
}

TEST_P(QuantisedProducts, AreTheSameForATokenAloneAndOnAnyThreads) {
  Quantised q(matrix(), how());
  auto x = random({9, GetParam().in}, at::kFloat, 5);
  const auto together = q.weight->product(x);
  for (std::int64_t row = 0; row < x.size(0); ++row) EXPECT_LT(relative_deviation(q.weight->product(x[row]), together[row]), 3e-6);
  const auto threads = at::get_num_threads();
  at::set_num_threads(3);
  EXPECT_LT(relative_deviation(q.weight->product(x), together), 3e-6);
  at::set_num_threads(threads);
}

TEST_P(QuantisedProducts, LearnThroughThemTheInputAlone) {
  Quantised q(matrix(), how());
  const auto layer = [&](const Inputs& in) { return q.weight->multiply(in[0]); };
  const auto x = random({2, 4, GetParam().in}, at::kDouble, 5), weight = random({2, 4, GetParam().out}, at::kDouble, 9);
  const auto found = gradients(layer, {x}, weight).at(0);
  EXPECT_LT(relative_deviation(found, at::matmul(weight, q.weight->dense().to(at::kDouble))), 1e-6);
  if (GetParam().method == "int8" || GetParam().in > 100) return;  // int8's inputs are whole numbers of steps: it has no slope to measure
  expect_gradients_of_differences(layer, {x});
}

INSTANTIATE_TEST_SUITE_P(All, QuantisedProducts,
                         testing::Values(Case{"int8", 96, 40, 64, true}, Case{"int8", 344, 128, 64, true}, Case{"nf4", 34, 6, 32, true},
                                         Case{"nf4", 344, 128, 64, true}, Case{"nf4", 2048, 48, 64, false}, Case{"fp4", 80, 50, 32, true},
                                         Case{"fp4", 172, 64, 128, false}, Case{"gptq", 96, 40, 32, true}, Case{"gptq", 344, 128, 43, true},
                                         Case{"gptq", 2048, 48, -1, true}));

// Each token's outlying inputs meet the weight itself: nothing large is rounded, and no other token notices.
TEST(Quantised, Int8KeepsOutlyingInputs) {
  const auto w = random({48, 64}, at::kFloat, 3);
  auto o = options("int8");
  const Quantised q(w, o);
  o.threshold = 0;
  const Quantised without(w, o);
  auto x = random({8, 64}, at::kFloat, 5).clamp_(-2, 2);
  const auto calm = q.weight->product(x);
  x[2][7] = 300, x[5][9] = -80;
  const auto found = q.weight->product(x), exact = at::mm(x, q.weight->dense().t());
  const auto error = [&](const Tensor& y) { return (y - exact).abs().max().item<double>(); };
  EXPECT_LT(error(found), 0.5);
  EXPECT_GT(error(without.weight->product(x)), 5 * error(found));
  for (const std::int64_t row : {0, 1, 3, 4, 6, 7}) EXPECT_TRUE(at::equal(found[row], calm[row])) << row;
}

TEST(Quantised, NotANumberShows) {
  for (const auto* method : {"int8", "nf4", "gptq"})
    for (const std::int64_t rows : {1, 8}) {
      auto x = random({rows, 64}, at::kFloat);
      x[0][3] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(Quantised(random({8, 64}), options(method)).weight->product(x)[0].isnan().any().item<bool>()) << method << rows;
    }
}

// The loops of every instruction set that this CPU has give what plain code gives.
TEST(Quantised, VectorsGiveThePlainLoops) {
  constexpr std::int64_t n = 470, begin = 70;
  std::vector<std::uint8_t> codes(400);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i * 37 + i / 7);
  const auto x = random({2, n / 2}, at::kFloat);
  for (const auto* book : {&kernel::nf4_book(), &kernel::fp4_book()})
    for (const std::int64_t block : {32, 64, 128}) {
      std::vector<float> absmax(40);
      for (std::size_t i = 0; i < absmax.size(); ++i) absmax[i] = 0.3f + 0.11f * static_cast<float>(i % 9);
      const kernel::FourBitStretch w{book, std::countr_zero(static_cast<unsigned>(block)), codes.data(), absmax.data(), begin, n};
      std::vector<float> plain(n), found(n);
      std::vector<kernel::Bf16> plain_16(n), found_16(n);
      kernel::dequantise_with(nullptr, w, plain.data());
      kernel::dequantise_with(nullptr, w, plain_16.data());
      const auto* even = x.const_data_ptr<float>();
      const auto sum = kernel::dot_with(nullptr, w, even, even + n / 2);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto code = i % 2 == 0 ? codes[(begin + i) / 2] >> 4 : codes[(begin + i) / 2] & 15;
        EXPECT_EQ(plain[i], book->values[code] * absmax[(begin + i) / block - begin / block]);
      }
      for (const auto& vectors : kernel::four_bit_vectors()) {
        kernel::dequantise_with(&vectors, w, found.data());
        kernel::dequantise_with(&vectors, w, found_16.data());
        EXPECT_EQ(found, plain);
        EXPECT_EQ(std::memcmp(found_16.data(), plain_16.data(), n * 2), 0);
        EXPECT_NEAR(kernel::dot_with(&vectors, w, even, even + n / 2), sum, 1e-4);  // 470 terms of order 1 in another order
      }
    }
}

// Beside its result a product holds tiles, whatever the matrix's size.
TEST(Quantised, NoProductHoldsTheDenseMatrix) {
  constexpr std::int64_t kIn = 2048, kOut = 4096, kRows = 16;
  const auto w = random({kOut, kIn}, at::kFloat);
  const auto threads = at::get_num_threads();
  at::set_num_threads(2);
  for (const auto* method : {"int8", "nf4", "gptq"}) {
    Quantised q(w, options(method));
    const auto x = random({kRows, kIn}, at::kBFloat16), g = random({kRows, kOut}, at::kBFloat16);
    CountingAllocator memory;
    const auto peak_of = [&](auto f) {
      memory.forget_peak();
      const auto before = memory.live();
      f();
      return memory.peak() - before;
    };
    const std::int64_t bf16 = kIn * kOut * 2, tiles = 2 * (9 << 19);  // 4 MiB a thread and some of the result
    EXPECT_LT(peak_of([&] { q.weight->product(x); }), kRows * kOut * 2 + kRows * kIn * 16 + tiles) << method;
    EXPECT_LT(peak_of([&] { q.weight->product(x[0]); }), kOut * 8 + kIn * 32 + 65536) << method;
    EXPECT_LT(peak_of([&] { q.weight->input_gradient(g); }), kRows * kIn * 2 + kRows * kOut * 2 + tiles) << method;
    const auto kept = static_cast<double>(q.codes.nbytes() + q.scales.nbytes()) / static_cast<double>(bf16);
    EXPECT_LT(kept, std::string(method) == "nf4" ? 0.26 : std::string(method) == "gptq" ? 0.28 : 0.51);
  }
  at::set_num_threads(threads);
}

TEST(Quantised, RefusesWhatItCannotKeep) {
  EXPECT_THROW(Quantised(random({4, 33}), options("nf4")), ConfigError);
  EXPECT_THROW(options("nf4", 48).validate(), ConfigError);
  EXPECT_THROW(Quantised(random({8, 64}), options("gptq", 48)), ConfigError);  // which does not divide 64
  EXPECT_THROW(Quantised(random({4, 64}), options("gptq", 32)), ConfigError);  // four zero points of four bits are half a word
  auto five = options("gptq", 32);
  five.bits = 5;
  EXPECT_THROW(five.validate(), ConfigError);
  Quantised q(random({4, 32}), options("nf4"));
  for_each_parameter(*q.weight, [](const std::string&, Parameter& p) { EXPECT_THROW(p.set_trainable(true), ConfigError); });
}

}  // namespace
}  // namespace herd::test
