// GPTQ: the codes of an implementation of the paper by another way, and the storage that keeps them.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "runtime/nn/gptq_solve.h"
#include "runtime/nn/gptq_weight.h"
#include "tests/support/assets.h"
#include "tests/support/oracles.h"

namespace herd::test {
namespace {

/// tests/support/gptq_golden.py made it: whole numbers over powers of two.
const nlohmann::json& golden() {
  static const auto json = nlohmann::json::parse(std::ifstream(source_dir() / "tests/runtime/gptq_golden.json"));
  return json;
}

template <class T>
Tensor matrix_of(const nlohmann::json& rows, at::ScalarType dtype) {
  std::vector<T> all;
  for (const auto& row : rows)
    for (const auto& x : row) all.push_back(x.template get<T>());
  return at::tensor(all, dtype).view({static_cast<std::int64_t>(rows.size()), -1});
}

GptqOptions options_of(const nlohmann::json& c) {
  return {.bits = c["bits"], .group_size = c["group_size"], .act_order = c["act_order"], .symmetric = c["symmetric"], .damp = c["damp"]};
}

Tensor weight() { return matrix_of<double>(golden()["weight"], at::kDouble) / 256; }
Tensor hessian(at::ScalarType dtype = at::kDouble) {
  const auto x = matrix_of<double>(golden()["inputs"], at::kDouble) / 64;
  return (at::mm(x.t(), x) * (2.0 / static_cast<double>(x.size(0)))).to(dtype);
}

std::string name_of(const GptqOptions& o) {
  return std::to_string(o.bits) + " bits, groups of " + std::to_string(o.group_size) + (o.act_order ? ", act-order" : "") + (o.symmetric ? ", symmetric" : "");
}

TEST(Gptq, CodesAreThoseOfTheReference) {
  for (const auto& c : golden()["cases"]) {
    const auto o = options_of(c);
    SCOPED_TRACE(name_of(o));
    const auto found = published(gptq(weight(), hessian(), o, "matrix"), o.bits, "m");
    EXPECT_EQ(found[0].first, "m.qweight");
    EXPECT_TRUE(at::equal(found[0].second, matrix_of<std::int64_t>(c["qweight"], at::kLong).to(at::kInt)));
    EXPECT_TRUE(at::equal(found[1].second, matrix_of<std::int64_t>(c["qzeros"], at::kLong).to(at::kInt)));
    EXPECT_TRUE(at::equal(found[2].second.view(at::kShort), matrix_of<std::int64_t>(c["scales"], at::kLong).to(at::kShort)));
    EXPECT_TRUE(at::equal(found[3].second, at::tensor(c["g_idx"].get<std::vector<std::int32_t>>(), at::kInt)));
  }
}

// As herd quantize runs it: sums in fp32. A code at the edge between two may fall to the other, and takes those after it along.
TEST(Gptq, Fp32FindsNearlyTheSame) {
  for (const auto& c : golden()["cases"]) {
    const auto o = options_of(c);
    SCOPED_TRACE(name_of(o));
    const auto w = weight(), h = hessian();
    const auto exact = gptq(w, h, o, "matrix").dequantised(), found = gptq(w.to(at::kFloat), h.to(at::kFloat), o, "matrix").dequantised();
    EXPECT_NEAR(output_error(w, found.to(at::kDouble), h), output_error(w, exact.to(at::kDouble), h), 1e-3);
    EXPECT_GT(found.eq(exact).to(at::kDouble).mean().item<double>(), 0.97);
  }
}

TEST(Gptq, IsNearerThanRoundingToNearest) {
  for (const std::int64_t bits : {2, 3, 4})
    for (const bool act_order : {false, true}) {
      const GptqOptions o{.bits = bits, .group_size = 32, .act_order = act_order};
      const auto w = weight(), h = hessian();
      const auto error = [&](const GptqMatrix& m) { return output_error(w, m.dequantised().to(at::kDouble), h); };
      EXPECT_LT(error(gptq(w, h, o, "matrix")), 0.6 * error(round_to_nearest(w, o))) << name_of(o);
    }
}

TEST(Gptq, AColumnWithoutInputBecomesZero) {
  const auto found = gptq(weight(), hessian(), {.group_size = 32}, "matrix").dequantised();
  EXPECT_EQ(hessian()[17][17].item<double>(), 0);
  EXPECT_TRUE(found.select(1, 17).eq(0).all().item<bool>());
}

TEST(Gptq, ANegativeHessianIsRefused) {
  EXPECT_THROW(gptq(weight(), hessian() - at::eye(192, at::kDouble) * 100, {.group_size = 32}, "matrix"), DataError);
}

TEST(Gptq, HessianIsTheMeanOverAllInputs) {
  const auto x = random({3, 5, 8}, at::kFloat);
  Hessian h;
  for (std::int64_t i = 0; i < 3; ++i) h.add(x[i]);
  const auto flat = x.view({15, 8}).to(at::kDouble);
  EXPECT_LT(herd::test::deviation(h.value(), at::mm(flat.t(), flat) * 2 / 15), 1e-6);
}

/// A storage with given contents.
std::unique_ptr<GptqWeight> keep(const GptqMatrix& m, std::int64_t bits) {
  auto weight = std::make_unique<GptqWeight>(Parameter(m.codes.sizes(), {"out", "in"}), bits, m.scales.size(1));
  for_each_parameter(*weight, [&](const std::string& name, Parameter& p) {
    if (name == "weight") {
      p.value = packed_rows(m.codes, bits);
    } else {
      p.value = at::empty(p.value.sizes(), at::kByte);
      weight->layout().read_scales(0, p.value, m.g_idx, [&](auto begin, auto end) { return m.scales.narrow(0, begin, end - begin); },
                                   [&](auto begin, auto end) { return m.zeros.narrow(0, begin, end - begin); });
    }
  });
  return weight;
}

// Sums of 192 products of order 1; fp32 rounds each to 6e-8, bf16 the result to 4e-3 of its size.
double bound(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 8e-3 : 3e-6; }

TEST(Gptq, ProductsAreThoseOfTheDequantisedMatrix) {
  for (const auto& c : golden()["cases"]) {
    const auto o = options_of(c);
    SCOPED_TRACE(name_of(o));
    const auto m = gptq(weight(), hessian(), o, "matrix");
    EXPECT_TRUE(at::equal(unpacked_rows(packed_rows(m.codes, o.bits), o.bits, 0, 192), m.codes));
    EXPECT_TRUE(at::equal(unpacked_rows(packed_rows(m.codes, o.bits), o.bits, 13, 77), m.codes.narrow(1, 13, 64)));
    const auto q = keep(m, o.bits);
    const auto dense = q->dense();
    EXPECT_TRUE(at::equal(dense, m.dequantised()));
    EXPECT_TRUE(at::equal(q->dequantised(3, 11), dense.narrow(0, 3, 8)));
    for (const auto dtype : {at::kFloat, at::kBFloat16})
      for (const std::int64_t rows : {1, 3, 40}) {
        const auto x = random({rows, 192}, dtype, 5), g = random({rows, 32}, dtype, 6);
        EXPECT_LT(relative_deviation(q->product(x), at::mm(x.to(at::kDouble), dense.to(at::kDouble).t())), bound(dtype)) << rows;
        EXPECT_LT(relative_deviation(q->input_gradient(g), at::mm(g.to(at::kDouble), dense.to(at::kDouble))), bound(dtype)) << rows;
      }
    const auto x = random({2, 3, 192}, at::kDouble, 5), weights = random({2, 3, 32}, at::kDouble, 9);
    EXPECT_LT(relative_deviation(gradients([&](const Inputs& in) { return q->multiply(in[0]); }, {x}, weights).at(0), at::matmul(weights, dense.to(at::kDouble))), 1e-6);
  }
}

TEST(Gptq, ScalesAreReadAsFp16HasThem) {
  // Subnormal, least normal, one and greatest.
  for (const double scale : {0x1p-24, 0x1.8p-23, 0x1p-14, 1.0, 65504.0}) {
    GptqMatrix m{.codes = at::arange(32, at::kByte).bitwise_and(15).expand({8, 32}).contiguous(), .scales = at::full({8, 1}, scale, at::kHalf),
                 .zeros = at::full({8, 1}, 7, at::kByte), .g_idx = at::zeros({32}, at::kInt)};
    EXPECT_TRUE(at::equal(keep(m, 4)->dense()[0], (at::arange(32, at::kFloat).fmod(16) - 7) * scale)) << scale;
  }
}

}  // namespace
}  // namespace herd::test
