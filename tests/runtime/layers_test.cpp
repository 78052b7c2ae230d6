// Norms, activations, RoPE, embeddings, Linear's slot and matrix: closed forms, finite differences in fp64, and the fp64 goldens beside the checkout.
#include "runtime/nn/layers.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/nn/causal_lm.h"
#include "runtime/nn/rope.h"
#include "tests/support/errors.h"
#include "tests/support/oracles.h"

namespace herd::test {
namespace {

constexpr double kBf16 = 0.01; // relative: the result's own rounding, 2^-8, and that of one factor

// at::parallel_for's body is compiled here: without the compiler's -fopenmp it would run on one thread, and give the same results.
TEST(Loops, RunOnAsManyThreadsAsAreSet) {
  const auto threads = at::get_num_threads();
  at::set_num_threads(2);
  std::vector<std::thread::id> of(2);
  at::parallel_for(0, 2, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) of[static_cast<std::size_t>(i)] = std::this_thread::get_id();
  });
  at::set_num_threads(threads);
  EXPECT_NE(of[0], of[1]);
}

// --- RMSNorm

TEST(RmsNorm, OfEqualElementsIsTheirSign) {
  const auto w = random({6}, at::kFloat);
  for (const double value : {3.0, -0.25}) {
    const auto y = rms_norm(at::full({2, 6}, value, at::kFloat), w, 0);
    EXPECT_LT(deviation(y, w.expand({2, 6}) * (value > 0 ? 1 : -1)), kFp32);
  }
}

TEST(RmsNorm, EpsilonStandsUnderTheRoot) {
  const auto x = at::full({1, 4}, 0.3, at::kFloat);
  EXPECT_LT(deviation(rms_norm(x, at::ones({4}), 0.16), at::full({1, 4}, 0.3 / std::sqrt(0.09 + 0.16))), kFp32);
}

TEST(RmsNorm, GradientsAreTheDifferences) {
  expect_gradients_of_differences([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-3); },
                                  {random({2, 3, 5}), random({5}, at::kDouble, 2)});
}

TEST(RmsNorm, AFrozenWeightGetsNoGradient) {
  const auto x = leaf(random({3, 4})), w = random({4});
  backward(rms_norm(x, w, 1e-5), at::ones({3, 4}, at::kDouble));
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(w.grad().defined());
}

TEST(RmsNorm, Bf16RoundsOnlyAtItsEnds) {
  const auto x = random({4, 64}, at::kBFloat16) * 30, w = random({64}, at::kBFloat16, 2);
  const auto found = rms_norm(x, w, 1e-6).to(at::kDouble), expected = rms_norm(x.to(at::kDouble), w.to(at::kDouble), 1e-6);
  EXPECT_LT(((found - expected) / expected.abs().clamp_min(1e-6)).abs().max().item<double>(), kBf16);
}

TEST(RmsNorm, Golden) {
  HERD_NEED_GOLDEN("fused_residual_rmsnorm");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("fused_residual_rmsnorm"), back("fused_residual_rmsnorm_backward");
    const auto w = forward("inputs", "weight", dtype), sum = forward("inputs", "input", dtype) + forward("inputs", "residual_in", dtype);
    EXPECT_LT(deviation(rms_norm(sum, w, 1e-5), forward("outputs", "y")), bound);
    const auto found = gradients([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5); },
                                 {back("inputs", "residual_out", dtype), back("inputs", "weight", dtype)}, back("inputs", "d_y", dtype));
    EXPECT_LT(deviation(found[0] + back("inputs", "d_residual_next", dtype), back("outputs", "d_input")), bound);
    EXPECT_LT(deviation(found[1], back("outputs", "d_weight")), bound);
  }
}

// --- SwiGLU

TEST(SiluMul, ClosedForms) {
  const auto up = random({4}, at::kFloat);
  EXPECT_LT(deviation(silu_mul(at::zeros({4}), up), at::zeros({4})), kFp32);
  EXPECT_LT(deviation(silu_mul(at::full({4}, 90.0f), up), 90 * up), 90 * kFp32);  // silu(x) → x
  EXPECT_LT(deviation(silu_mul(at::full({4}, std::log(3.0f)), up), std::log(3.0f) * 0.75f * up), kFp32);  // σ(ln 3) = 3/4
}

TEST(SiluMul, GradientsAreTheDifferences) {
  expect_gradients_of_differences([](const Inputs& in) { return silu_mul(in[0], in[1]); },
                                  {random({2, 7}), random({2, 7}, at::kDouble, 2)});
}

TEST(SiluMul, Golden) {
  HERD_NEED_GOLDEN("swiglu");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("swiglu"), back("swiglu_backward");
    const Layer layer = [](const Inputs& in) { return silu_mul(in[0].narrow(-1, 256, 256), in[0].narrow(-1, 0, 256)); };  // [up, gate]
    EXPECT_LT(relative_deviation(layer({forward("inputs", "inp", dtype)}), forward("outputs", "out")), bound);
    const auto one = gradients(layer, {back("inputs", "mlp_up", dtype)}, back("inputs", "d_out", dtype))[0];
    EXPECT_LT(relative_deviation(one, back("outputs", "d_inp")), bound);
    const auto two = gradients(layer, {forward("inputs", "inp", dtype)}, forward("grads", "d_out", dtype))[0];
    EXPECT_LT(relative_deviation(two, forward("grads", "d_inp")), bound);
  }
}

// --- RoPE

const std::vector<double> kInverse{1.0, 0.1, 0.01, 0.001};  // theta 10000, dim 8

TEST(Rope, FrequenciesOfEveryScaling) {
  RopeOptions o{.dim = 8, .max_positions = 100};
  const auto expect = [&](std::int64_t length, const std::vector<double>& values) {
    const auto expected = at::tensor(values, at::kDouble);
    EXPECT_LT(((rope_frequencies(o, length).to(at::kDouble) - expected) / expected).abs().max().item<double>(), kFp32);
  };
  expect(1000, kInverse);
  o.factor = 4;
  o.scaling = RopeOptions::Scaling::kLinear;
  expect(7, {0.25, 0.025, 0.0025, 0.00025});
  o.scaling = RopeOptions::Scaling::kDynamic;
  expect(100, kInverse);
  // 150 tokens: theta · (4·1.5 − 3)^(8/6); the last of the wavelengths grows threefold.
  expect(150, {1.0, 0.1 * std::pow(3.0, -1.0 / 3), 0.01 * std::pow(3.0, -2.0 / 3), 0.001 / 3});
  // Wavelengths are 6.3, 63, 628 and 6283; of 1,000 trained tokens those under 250 are kept and those over 1,000 stretched.
  o.scaling = RopeOptions::Scaling::kLlama3;
  o.original_max_positions = 1000;
  const double smooth = (1000 * 0.01 / (2 * M_PI) - 1) / 3;
  expect(7, {1.0, 0.1, (1 - smooth) * 0.01 / 4 + smooth * 0.01, 0.001 / 4});
}

TEST(Rope, DynamicStretchesEachTextByItsOwnLength) {
  const RopeOptions o{.dim = 8, .max_positions = 5, .scaling = RopeOptions::Scaling::kDynamic, .factor = 2};
  const auto table = rope_table(o, rows_of({{3, 9}, {5, 6, 1}}, 13));
  const auto expect = [&](std::int64_t row, std::int64_t begin, std::int64_t length) {
    const auto angles = at::arange(length, at::kDouble).unsqueeze(1) * rope_frequencies(o, length).to(at::kDouble);
    EXPECT_LT(deviation(table.cos[row].narrow(0, begin, length), angles.cos()), kFp32);
    EXPECT_LT(deviation(table.sin[row].narrow(0, begin, length), angles.sin()), kFp32);
  };
  expect(0, 0, 3);
  expect(0, 3, 9);
  expect(1, 0, 5);
  expect(1, 5, 6);
  expect(1, 11, 1);
}

TEST(Rope, TurnsEachPairByItsAngle) {
  const RopeOptions o{.theta = 100, .dim = 4, .max_positions = 10};
  const auto table = rope_table(o, rows_of({{3}}, 3));
  const auto y = rope(at::tensor({1.0f, 0.0f, 0.0f, 2.0f}).expand({1, 3, 1, 4}), table);
  for (int t = 0; t < 3; ++t) {
    // Pairs (0, 2) turned by t, (1, 3) by t / 10.
    const auto expected = at::tensor({std::cos(1.0 * t), -2 * std::sin(0.1 * t), std::sin(1.0 * t), 2 * std::cos(0.1 * t)}, at::kDouble);
    EXPECT_LT(deviation(y[0][t][0], expected), kFp32);
  }
}

TEST(Rope, TurnsThePairsOfTheFirstPartAlone) {
  for (const bool interleaved : {true, false}) {
    const RopeOptions o{.theta = 100, .dim = 4, .interleaved = interleaved, .max_positions = 10};
    const auto x = at::tensor({1.0f, 0.0f, 0.0f, 2.0f, 5.0f, 6.0f}).expand({1, 3, 1, 6});
    const auto y = rope(x, rope_table(o, rows_of({{3}}, 3))), wide = rope(x.to(at::kDouble), rope_table(o, at::arange(3).unsqueeze(0)));
    for (int t = 0; t < 3; ++t) {
      const double c = std::cos(1.0 * t), s = std::sin(1.0 * t), slow_c = std::cos(0.1 * t), slow_s = std::sin(0.1 * t);
      // Pairs (0, 1) and (2, 3), or (0, 2) and (1, 3).
      const auto expected = interleaved ? at::tensor({c, s, -2 * slow_s, 2 * slow_c, 5.0, 6.0}) : at::tensor({c, -2 * slow_s, s, 2 * slow_c, 5.0, 6.0});
      EXPECT_LT(deviation(y[0][t][0], expected), kFp32) << interleaved;
      EXPECT_LT(deviation(wide[0][t][0], expected), kFp32) << interleaved;
    }
  }
}

TEST(LayerNorm, HasMeanZeroAndVarianceOneBeforeItsWeights) {
  LayerNorm norm(5, 1e-5);
  norm.weight.value = random({5}), norm.bias.value = random({5}, at::kDouble, 2);
  const auto x = random({3, 5}, at::kDouble, 3);
  const auto centred = x - x.mean(-1, true);
  const auto expected = centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * norm.weight.value + norm.bias.value;
  EXPECT_LT(deviation(norm(x), expected), kGolden);
}

TEST(Gelu, IsTheTanhForm) {
  const auto x = random({40});
  EXPECT_LT(deviation(gelu_tanh(x), x / 2 * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3))))), kGolden);
}

TEST(Rope, ScoresDependOnDistanceAlone) {
  const RopeOptions o{.dim = 8, .max_positions = 64};
  const auto table = rope_table(o, rows_of({{40}}, 40));
  const auto turned = [&](const Tensor& x) { return rope(x.expand({1, 40, 1, 8}), table)[0].squeeze(1); };
  const auto scores = turned(random({8})).matmul(turned(random({8}, at::kDouble, 2)).t());
  EXPECT_LT(deviation(scores.narrow(0, 0, 30).narrow(1, 0, 30), scores.narrow(0, 10, 30).narrow(1, 10, 30)), 1e-5);  // angles are fp32
}

TEST(Rope, GradientsAreTheDifferences) {
  const RopeOptions o{.dim = 4, .max_positions = 8};
  const auto table = rope_table(o, rows_of({{3, 2}, {5}}, 5));
  expect_gradients_of_differences([&](const Inputs& in) { return rope(in[0], table); }, {random({2, 5, 2, 4})});
  const auto interleaved = rope_table({.dim = 4, .interleaved = true, .max_positions = 8}, rows_of({{3, 2}, {5}}, 5));
  expect_gradients_of_differences([&](const Inputs& in) { return rope(in[0], interleaved); }, {random({2, 5, 2, 6})});
}

TEST(Rope, Golden) {
  HERD_NEED_GOLDEN("rope");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("rope"), back("rope_backward");
    const auto turns = [&](const Tensor& freqs) {  // cos and sin side by side, a pair each
      return RopeTable{freqs.view({1, 2, 2, 2}).select(-1, 0).contiguous(), freqs.view({1, 2, 2, 2}).select(-1, 1).contiguous()};
    };
    // 2 query heads and a key head are turned, the value head is not.
    const auto layer_of = [&](const RopeTable& table) -> Layer {
      return [table](const Inputs& in) {
        const auto heads = in[0].view({1, 2, 4, 4});
        return at::cat({rope(heads.narrow(2, 0, 3), table), heads.narrow(2, 3, 1)}, 2).view({1, 2, 16});
      };
    };
    const auto layer = layer_of(turns(forward("inputs", "freqs", dtype))), same = layer_of(turns(back("inputs", "freqs", dtype)));
    EXPECT_LT(deviation(layer({forward("inputs", "qkv", dtype)}), forward("outputs", "out")), bound);
    const auto gradient = gradients(same, {at::zeros({1, 2, 16}, dtype)}, back("inputs", "d_out", dtype))[0];
    EXPECT_LT(deviation(gradient, back("outputs", "d_qkv")), bound);
  }
}

// --- Linear's slot

struct Marks final : LinearSlot {
  Tensor in(const Tensor& x) override { return x + 1; }
  Tensor delta(const Tensor& x) override { return x * 100; }
  Tensor out(const Tensor& y) override { return y * 2; }
  Tensor after(const Tensor& y) override { return y * 1000; }
  void visit(Visitor&) override {}
};

TEST(LinearSlot, HooksStandWhereTheFormulaSays) {
  Linear linear(1, 1, true, "out", "in");
  materialise(linear.weight(), at::kDouble);
  materialise(linear.bias(), at::kDouble);
  at::NoGradGuard no_grad;
  linear.weight().value.fill_(3);
  linear.bias().value.fill_(0.5);
  const auto x = at::full({1, 1}, 7.0, at::kDouble);
  EXPECT_EQ(linear(x).item<double>(), 3 * 7 + 0.5);
  linear.fill_slot(std::make_unique<Marks>());
  EXPECT_EQ(linear(x).item<double>(), ((3 * (7 + 1) + 700) * 2 + 0.5) * 1000);
}

// --- Linear's matrix, either way it lies

TEST(LinearLayout, BothWaysAreOneMatrix) {
  constexpr std::int64_t kIn = 12, kOut = 20, kRows = 40;  // rows enough for oneDNN's product
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool trained : {false, true}) {
      const auto matrix = random({kOut, kIn}, dtype, 1);
      const auto answer = [&](WeightLayout layout) {
        Linear linear(kIn, kOut, false, "out", "in", layout);
        materialise(linear.weight(), dtype);
        linear.weight().set_trainable(trained);
        linear.set_weight(matrix);
        const auto x = leaf(random({kRows, kIn}, dtype, 2));
        const auto y = linear(x);
        const auto grad = random({kRows, kOut}, dtype, 3);
        backward(y, grad);
        const bool transposed = layout == WeightLayout::kInOut;
        EXPECT_EQ(linear.weight().value.size(0), transposed ? kIn : kOut);
        EXPECT_EQ(linear.weight().axes.front(), transposed ? "in" : "out");
        EXPECT_EQ(linear.weight().value.grad().defined(), trained);
        EXPECT_TRUE(linear.storage().dense().is_contiguous() && at::equal(linear.storage().dense(), matrix.to(at::kFloat)));
        auto weight_grad = trained ? linear.weight().value.grad() : at::zeros({kOut, kIn}, dtype);
        if (trained && transposed) weight_grad = weight_grad.t();
        return Inputs{y.detach(), x.grad(), linear.storage().input_gradient(grad), weight_grad};
      };
      const auto expected = answer(WeightLayout::kOutIn), found = answer(WeightLayout::kInOut);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(found[i].is_contiguous() || i == 3) << i;
        EXPECT_LT(relative_deviation(found[i], expected[i]), dtype == at::kFloat ? kFp32 : kBf16) << i;
      }
    }
  }
}

// --- Embedding's ids

TEST(Embedding, AnIdWithoutARowIsNamed) {
  Embedding tokens(5, 2), positions(3, 2, "positions");
  for (auto* table : {&tokens.weight, &positions.weight}) materialise(*table, at::kFloat);
  tokens.weight.name = "wte.weight";
  const auto message = [](Embedding& table, std::vector<std::int64_t> ids) {
    return message_of<DataError>([&] { table(at::tensor(ids, at::kLong)); });
  };
  EXPECT_EQ(tokens(at::tensor(std::vector<std::int64_t>{0, 4}, at::kLong)).size(0), 2);
  EXPECT_EQ(tokens(at::empty({0, 3}, at::kLong)).size(-1), 2);
  EXPECT_THAT(message(tokens, {4, 5, 9}), testing::HasSubstr("wte.weight: token 9; expected 0 to 4"));
  EXPECT_THAT(message(tokens, {9, -1}), testing::HasSubstr("token -1"));
  EXPECT_THAT(message(positions, {2, 3}), testing::HasSubstr("embedding: position 3; expected 0 to 2"));
}

// --- the loops of runtime/nn/kernels.h, which fp32 and bf16 on the CPU take, against the tensor operations that fp64 takes

struct LoopCase {
  const char* name;
  Layer layer;
  std::vector<std::vector<std::int64_t>> shapes;
};

class Loops : public testing::TestWithParam<LoopCase> {};

TEST_P(Loops, AreTheOperations) {
  for (const auto& [dtype, bound] : {std::pair(at::kFloat, 2e-6), std::pair(at::kBFloat16, kBf16)}) {
    Inputs inputs, wide;
    for (const auto& shape : GetParam().shapes) {
      inputs.push_back(random(shape, dtype, static_cast<int>(inputs.size())) * 3);
      wide.push_back(inputs.back().to(at::kDouble));
    }
    const auto expected = GetParam().layer(wide);
    const auto relative = [&](const Tensor& found, const Tensor& truth) { return deviation(found.to(at::kDouble), truth) / truth.abs().max().item<double>(); };
    EXPECT_LT(relative(GetParam().layer(inputs), expected), bound);
    const auto grad = random(expected.sizes().vec(), dtype, 9);
    const auto found = gradients(GetParam().layer, inputs, grad), truth = gradients(GetParam().layer, wide, grad.to(at::kDouble));
    for (std::size_t i = 0; i < truth.size(); ++i) EXPECT_LT(relative(found[i], truth[i]), bound) << "gradient " << i;
  }
}

// Odd widths leave a rest behind every vector; 300 rows are several parts of the weight's gradient; the last rotates heads that lie apart.
INSTANTIATE_TEST_SUITE_P(All, Loops,
                         testing::Values(LoopCase{"RmsNorm", [](const Inputs& in) { return rms_norm(in[0], in[1], 1e-5); }, {{300, 67}, {67}}},
                                         LoopCase{"SiluMul", [](const Inputs& in) { return silu_mul(in[0], in[1]); }, {{5, 4099}, {5, 4099}}},
                                         LoopCase{"Rope", [](const Inputs& in) {
                                           const auto batch = plain_batch({std::vector<std::int64_t>(70, 1), std::vector<std::int64_t>(70, 1)});
                                           return rope(in[0].transpose(1, 2), rope_table({.dim = 22, .max_positions = 70}, batch));
                                         }, {{2, 3, 70, 22}}},
                                         LoopCase{"RopeOfAPart", [](const Inputs& in) {
                                           const auto batch = plain_batch({std::vector<std::int64_t>(70, 1)});
                                           return rope(in[0], rope_table({.dim = 22, .interleaved = true, .max_positions = 70}, batch));
                                         }, {{1, 70, 3, 33}}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(LoopsOfNorms, WhatIsNotFiniteStaysSeen) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = at::full({1, 33}, 1.0, dtype), nan = x.clone();
    nan[0][7] = std::nan("");
    EXPECT_TRUE(at::isnan(rms_norm(nan, at::ones({33}, dtype), 1e-5)).all().item<bool>());
    EXPECT_TRUE(at::isnan(silu_mul(nan, x))[0][7].item<bool>());
    EXPECT_TRUE(at::isinf(silu_mul(at::full({33}, INFINITY, dtype), x[0])).all().item<bool>());
    EXPECT_EQ(silu_mul(at::full({33}, -1000.0, dtype), x[0]).abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace herd::test
