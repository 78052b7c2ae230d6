// The layers that every family shares: closed forms, finite differences in fp64, and the fp64 goldens beside the checkout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/nn/attention.h"
#include "runtime/nn/autograd.h"
#include "runtime/nn/layers.h"
#include "runtime/nn/loss.h"
#include "runtime/nn/matmul.h"
#include "runtime/nn/rope.h"
#include "tests/support/assets.h"

namespace herd::test {
namespace {

// Each bound with its reason.
constexpr double kGolden = 1e-12;     // fp64 against fp64 of numbers of order 1; stored with 16 digits
constexpr double kGoldenInFp32 = 2e-6;  // the same through fp32: some ten roundings of 6e-8
constexpr double kDifference = 1e-6;  // central differences with h = 1e-5 in fp64: truncation h² and cancellation 1e-16 / h
constexpr double kFp32 = 1e-6;        // closed forms of order 1 in fp32: some ten roundings
constexpr double kBf16 = 0.01;        // relative: the result's own rounding, 2^-8, and that of one factor

Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble, std::uint64_t seed = 1) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)).to(dtype);
}

double deviation(const Tensor& found, const Tensor& expected) {
  EXPECT_EQ(found.sizes(), expected.sizes());
  return found.numel() == 0 ? 0 : (found.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
}

Tensor leaf(const Tensor& x) {
  auto copy = x.detach().clone();
  copy.set_requires_grad(true);
  return copy;
}

using Inputs = std::vector<Tensor>;
using Layer = std::function<Tensor(const Inputs&)>;

/// Gradients of Σ weight·layer(inputs), weight fixed, so that every output counts differently.
Inputs gradients(const Layer& layer, const Inputs& inputs, const Tensor& weight) {
  Inputs leaves;
  for (const auto& x : inputs) leaves.push_back(leaf(x));
  const auto y = layer(leaves);
  backward(y, weight.to(y.scalar_type()));
  Inputs result;
  for (const auto& x : leaves) result.push_back(x.grad());
  return result;
}

void expect_gradients_of_differences(const Layer& layer, const Inputs& inputs) {
  constexpr double h = 1e-5;
  const auto weight = random(layer(inputs).sizes(), at::kDouble, 99);
  const auto found = gradients(layer, inputs, weight);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(found[i].defined()) << "input " << i;
    auto moved = inputs;
    moved[i] = inputs[i].clone();
    const auto flat = moved[i].view(-1), expected = at::empty_like(flat);
    const auto value = [&] { return (layer(moved) * weight).sum().item<double>(); };
    for (std::int64_t j = 0; j < flat.numel(); ++j) {
      const auto old = flat[j].item<double>();
      flat[j].fill_(old + h);
      const auto above = value();
      flat[j].fill_(old - h);
      expected[j].fill_((above - value()) / (2 * h));
      flat[j].fill_(old);
    }
    EXPECT_LT(deviation(found[i].reshape(-1), expected), kDifference) << "input " << i;
  }
}

/// One file of ../shared/assets/goldens/ops-fp64.
class Golden {
 public:
  explicit Golden(const std::string& op) { std::ifstream(path(op)) >> json_; }
  static std::filesystem::path path(const std::string& op) { return assets() / "goldens" / "ops-fp64" / (op + "_small_case_1.json"); }

  Tensor operator()(const std::string& group, const std::string& name, at::ScalarType dtype = at::kDouble) const {
    const auto& entry = json_.at(group).at(name);
    return at::tensor(entry.at("data").get<std::vector<double>>(), at::kDouble).view(entry.at("shape").get<std::vector<std::int64_t>>()).to(dtype);
  }

 private:
  nlohmann::json json_;
};

#define HERD_NEED_GOLDEN(op) HERD_NEED_ASSET(std::string("goldens/ops-fp64/") + (op) + "_small_case_1.json")

struct Precise {
  at::ScalarType dtype;
  double bound;
};
const Precise kPrecisions[] = {{at::kDouble, kGolden}, {at::kFloat, kGoldenInFp32}};

// --- RMSNorm

TEST(RmsNorm, OfEqualElementsIsTheirSign) {
  const auto w = random({6}, at::kFloat);
  for (const double value : {3.0, -0.25}) EXPECT_LT(deviation(rms_norm(at::full({2, 6}, value, at::kFloat), w, 0), w.expand({2, 6}) * (value > 0 ? 1 : -1)), kFp32);
}

TEST(RmsNorm, EpsilonStandsUnderTheRoot) {
  const auto x = at::full({1, 4}, 0.3, at::kFloat);
  EXPECT_LT(deviation(rms_norm(x, at::ones({4}), 0.16), at::full({1, 4}, 0.3 / std::sqrt(0.09 + 0.16))), kFp32);
}

TEST(RmsNorm, GradientsAreTheDifferences) {
  expect_gradients_of_differences([](const Inputs& in) { return rms_norm(in[0], in[1], 1e-3); }, {random({2, 3, 5}), random({5}, at::kDouble, 2)});
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
  expect_gradients_of_differences([](const Inputs& in) { return silu_mul(in[0], in[1]); }, {random({2, 7}), random({2, 7}, at::kDouble, 2)});
}

TEST(SiluMul, Golden) {
  HERD_NEED_GOLDEN("swiglu");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("swiglu"), back("swiglu_backward");
    const Layer layer = [](const Inputs& in) { return silu_mul(in[0].narrow(-1, 256, 256), in[0].narrow(-1, 0, 256)); };  // [up, gate]
    EXPECT_LT(deviation(layer({forward("inputs", "inp", dtype)}), forward("outputs", "out")), bound);
    EXPECT_LT(deviation(gradients(layer, {back("inputs", "mlp_up", dtype)}, back("inputs", "d_out", dtype))[0], back("outputs", "d_inp")), bound);
    EXPECT_LT(deviation(gradients(layer, {forward("inputs", "inp", dtype)}, forward("grads", "d_out", dtype))[0], forward("grads", "d_inp")), bound);
  }
}

// --- RoPE

Batch rows_of(const std::vector<std::vector<std::int64_t>>& lengths, std::int64_t t) {
  Batch batch;
  const auto b = static_cast<std::int64_t>(lengths.size());
  batch.tokens_bt = at::zeros({b, t}, at::kLong);
  batch.positions_bt = at::zeros({b, t}, at::kLong);
  for (std::int64_t row = 0, begin = 0; row < b; ++row, begin = 0) {
    for (const auto length : lengths[static_cast<std::size_t>(row)]) {
      batch.segments.push_back({row, begin, begin + length});
      batch.positions_bt[row].narrow(0, begin, length).copy_(at::arange(length, at::kLong));
      begin += length;
    }
  }
  return batch;
}

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

TEST(Rope, ScoresDependOnDistanceAlone) {
  const RopeOptions o{.dim = 8, .max_positions = 64};
  const auto table = rope_table(o, rows_of({{40}}, 40));
  const auto q = rope(random({8}).expand({1, 40, 1, 8}), table)[0].squeeze(1), k = rope(random({8}, at::kDouble, 2).expand({1, 40, 1, 8}), table)[0].squeeze(1);
  const auto scores = q.matmul(k.t());
  EXPECT_LT(deviation(scores.narrow(0, 0, 30).narrow(1, 0, 30), scores.narrow(0, 10, 30).narrow(1, 10, 30)), 1e-5);  // angles are fp32
}

TEST(Rope, GradientsAreTheDifferences) {
  const RopeOptions o{.dim = 4, .max_positions = 8};
  const auto table = rope_table(o, rows_of({{3, 2}, {5}}, 5));
  expect_gradients_of_differences([&](const Inputs& in) { return rope(in[0], table); }, {random({2, 5, 2, 4})});
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
    EXPECT_LT(deviation(layer_of(turns(forward("inputs", "freqs", dtype)))({forward("inputs", "qkv", dtype)}), forward("outputs", "out")), bound);
    const auto layer = layer_of(turns(back("inputs", "freqs", dtype)));
    EXPECT_LT(deviation(gradients(layer, {at::zeros({1, 2, 16}, dtype)}, back("inputs", "d_out", dtype))[0], back("outputs", "d_qkv")), bound);
  }
}

// --- Attention

// The definition, with the dense mask that no path of herd builds.
Tensor attention_by_definition(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const std::vector<Segment>& segments) {
  const auto b = q_bthe.size(0), t = q_bthe.size(1), groups = q_bthe.size(2) / k_btke.size(2);
  const auto q = q_bthe.transpose(1, 2), k = k_btke.transpose(1, 2).repeat_interleave(groups, 1), v = v_btke.transpose(1, 2).repeat_interleave(groups, 1);
  auto seen = at::zeros({b, t, t}, at::kBool);
  for (const auto& s : segments) seen[s.row].narrow(0, s.begin, s.length()).narrow(1, s.begin, s.length()).fill_(true);
  seen = seen.tril().unsqueeze(1);
  const auto scores = q.matmul(k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(-1)));
  const auto p = at::nan_to_num(at::softmax(scores.masked_fill(~seen, -INFINITY), -1));
  return p.matmul(v).transpose(1, 2).flatten(2);
}

struct Texts {
  std::string name;
  std::vector<std::vector<std::int64_t>> lengths;
};
void PrintTo(const Texts& texts, std::ostream* stream) { *stream << texts.name; }

class AttentionOf : public testing::TestWithParam<Texts> {
 protected:
  static constexpr std::int64_t t = 7, e = 4;
  Batch batch = rows_of(GetParam().lengths, t);
  AttentionLayout layout = attention_layout(batch);
  Inputs inputs(std::int64_t h, std::int64_t k) const {
    const auto b = batch.rows();
    return {random({b, t, h, e}), random({b, t, k, e}, at::kDouble, 2), random({b, t, k, e}, at::kDouble, 3)};
  }
};

TEST_P(AttentionOf, IsTheDefinition) {
  for (const auto& [h, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 2}, {4, 2}, {3, 1}}) {
    const auto in = inputs(h, k);
    const auto found = attention(in[0], in[1], in[2], layout), expected = attention_by_definition(in[0], in[1], in[2], batch.segments);
    ASSERT_EQ(found.sizes(), (std::vector<std::int64_t>{batch.rows(), t, h * e}));
    for (const auto& s : batch.segments) {  // what stands in the padding is nobody's business
      const auto part = [&](const Tensor& x) { return x[s.row].narrow(0, s.begin, s.length()); };
      EXPECT_LT(deviation(part(found), part(expected)), kGolden) << h << " heads";
    }
  }
}

TEST_P(AttentionOf, GradientsAreTheDefinitions) {
  const auto in = inputs(4, 2);
  auto weight = at::zeros({batch.rows(), t, 4 * e}, at::kDouble);  // padding's output has no gradient
  for (const auto& s : batch.segments) weight[s.row].narrow(0, s.begin, s.length()).copy_(random({s.length(), 4 * e}, at::kDouble, 9));
  const auto found = gradients([&](const Inputs& x) { return attention(x[0], x[1], x[2], layout); }, in, weight);
  const auto expected = gradients([&](const Inputs& x) { return attention_by_definition(x[0], x[1], x[2], batch.segments); }, in, weight);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LT(deviation(found[i], expected[i]), kGolden) << "input " << i;
}

INSTANTIATE_TEST_SUITE_P(Batches, AttentionOf,
                         testing::Values(Texts{"WholeRows", {{7}, {7}}}, Texts{"Padded", {{3}, {7}, {1}}}, Texts{"Packed", {{3, 4}, {1, 5, 1}}},
                                         Texts{"PackedAndPadded", {{2, 2}, {7}, {6}, {1, 1, 1}}}, Texts{"ARowOfPadding", {{4, 3}, {}, {5}}}),
                         [](const auto& info) { return info.param.name; });

TEST(Attention, OfEqualKeysIsTheMeanOfWhatCameBefore) {
  const auto v = random({1, 5, 2, 4});
  const auto found = attention(random({1, 5, 2, 4}, at::kDouble, 2), at::ones({1, 5, 2, 4}, at::kDouble), v, attention_layout(rows_of({{5}}, 5)));
  const auto counts = at::arange(1, 6, at::kDouble).view({1, 5, 1});
  EXPECT_LT(deviation(found, v.flatten(2).cumsum(1) / counts), kGolden);
}

TEST(Attention, OneTokenAtATimeOverTheCacheIsTheWhole) {
  const Inputs in{random({2, 6, 4, 4}), random({2, 6, 2, 4}, at::kDouble, 2), random({2, 6, 2, 4}, at::kDouble, 3)};
  const auto batch = rows_of({{6}, {6}}, 6);
  const auto whole = attention(in[0], in[1], in[2], attention_layout(batch));
  KvCache cache{.keys = {at::zeros({2, 8, 2, 4}, at::kDouble)}, .values = {at::zeros({2, 8, 2, 4}, at::kDouble)}, .lengths = {0, 0}};
  const auto step = [&](std::int64_t begin, std::int64_t count) {
    const auto part = [&](const Tensor& x) { return x.narrow(1, begin, count); };
    const auto y = attention(part(in[0]), part(in[1]), part(in[2]), {}, &cache, 0);
    cache.advance({count, count});
    EXPECT_LT(deviation(y, part(whole)), kGolden) << "from " << begin;
  };
  step(0, 3);
  for (std::int64_t i = 3; i < 6; ++i) step(i, 1);
}

TEST(Attention, Golden) {
  HERD_NEED_GOLDEN("flash_attention");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("flash_attention"), back("flash_attention_backward");
    const auto layout = attention_layout(rows_of({{3}}, 3));
    const Layer layer = [&](const Inputs& in) {
      const auto heads = in[0].view({1, 3, 4, 64});
      return attention(heads.narrow(2, 0, 2), heads.narrow(2, 2, 1), heads.narrow(2, 3, 1), layout);
    };
    EXPECT_LT(deviation(layer({forward("inputs", "qkv", dtype)}), forward("outputs", "out")), bound);
    EXPECT_LT(deviation(gradients(layer, {back("inputs", "qkv", dtype)}, back("inputs", "d_out", dtype).flatten(2))[0], back("outputs", "d_qkv")), bound);
  }
}

// --- Loss

/// Hidden rows whose label stands one place further on, as chunked_loss reads them.
Tensor shifted(const Tensor& targets) { return at::cat({at::full({1}, kIgnoreLabel, at::kLong), targets.to(at::kLong)}).unsqueeze(0); }
Tensor with_a_last_row(const Tensor& rows) { return at::cat({rows, at::full({1, rows.size(1)}, 7, rows.options())}).unsqueeze(0); }
const auto kIdentity = [](const Tensor& x) { return x; };

TEST(Loss, OfEqualLogitsIsTheLogOfTheVocabulary) {
  const auto result = chunked_loss(at::zeros({2, 4, 10}), at::full({2, 4}, 3, at::kLong), kIdentity, 0.5, true);
  EXPECT_EQ(result.tokens, 6);  // the first of a row has nothing before it
  EXPECT_NEAR(result.sum, 6 * std::log(10.0), 1e-5);
  // softmax − onehot, times the scale; the last position predicts nothing.
  auto expected = at::full({2, 4, 10}, 0.05);
  expected.select(2, 3).sub_(0.5);
  expected.select(1, 3).zero_();
  EXPECT_LT(deviation(result.grad_hidden, expected), kFp32);
}

TEST(Loss, OnlySupervisedPositionsMeetTheHead) {
  const auto hidden = random({2, 5, 3}), w = random({11, 3}, at::kDouble, 2);
  auto labels = at::full({2, 5}, kIgnoreLabel, at::kLong);
  labels[0][2].fill_(4);
  labels[1][4].fill_(0);
  std::int64_t rows = 0;
  const auto head = [&](const Tensor& x) {
    if (at::GradMode::is_enabled()) rows += x.size(0);
    return matmul_transposed(x, w);
  };
  const auto result = chunked_loss(hidden, labels, head, 1, true);
  EXPECT_EQ(rows, 2);
  const auto log_p = at::log_softmax(matmul_transposed(hidden, w), -1);
  EXPECT_NEAR(result.sum, -(log_p[0][1][4] + log_p[1][3][0]).item<double>(), 1e-12);
}

TEST(Loss, NothingSupervisedCostsNothing) {
  const auto never = [](const Tensor&) -> Tensor { throw std::logic_error("asked for logits"); };
  const auto result = chunked_loss(random({2, 3, 4}), at::full({2, 3}, kIgnoreLabel, at::kLong), never, 1, true);
  EXPECT_EQ(result.tokens, 0);
  EXPECT_EQ(result.sum, 0);
  EXPECT_LT(deviation(result.grad_hidden, at::zeros({2, 3, 4})), kGolden);
}

TEST(Loss, ChunksChangeNothing) {
  const auto hidden = random({2, 9, 4}), labels = at::randint(0, 13, {2, 9}, at::make_generator<at::CPUGeneratorImpl>(3), at::kLong);
  std::vector<LossResult> results;
  Inputs weight_gradients;
  for (const std::int64_t elements : {1, 13 * 3, 13 * 16, 1 << 20}) {
    const auto w = leaf(random({13, 4}, at::kDouble, 2));
    results.push_back(chunked_loss(hidden, labels, [&](const Tensor& x) { return matmul_transposed(x, w); }, 0.1, true, elements));
    weight_gradients.push_back(w.grad());
    EXPECT_NEAR(results.back().sum, results[0].sum, kGolden * 100);
    EXPECT_LT(deviation(results.back().grad_hidden, results[0].grad_hidden), kGolden);
    EXPECT_LT(deviation(weight_gradients.back(), weight_gradients[0]), kGolden);
  }
}

TEST(Loss, GradientsAreTheDifferences) {
  constexpr double h = 1e-5;
  const auto hidden = random({1, 4, 3}), w = random({6, 3}, at::kDouble, 2), labels = at::tensor({0, 5, 2, 2}, at::kLong).unsqueeze(0);
  const auto head = [&](const Tensor& x) { return matmul_transposed(x, w); };
  const auto found = chunked_loss(hidden, labels, head, 2, true).grad_hidden;
  for (std::int64_t j = 0; j < hidden.numel(); ++j) {
    const auto moved = [&](double by) {
      auto x = hidden.clone();
      x.view(-1)[j].add_(by);
      return chunked_loss(x, labels, head, 2, false).sum;
    };
    EXPECT_NEAR(found.view(-1)[j].item<double>(), 2 * (moved(h) - moved(-h)) / (2 * h), kDifference);
  }
}

TEST(Loss, HugeLogitsStayFinite) {
  const auto logits = at::tensor({5e4f, -5e4f, 0.0f}).view({1, 1, 3}).expand({1, 2, 3});
  const auto result = chunked_loss(logits, shifted(at::tensor({1}, at::kLong)), kIdentity, 1, true);
  EXPECT_NEAR(result.sum, 1e5, 1e-2);
  EXPECT_LT(deviation(result.grad_hidden[0][0], at::tensor({1.0f, -1.0f, 0.0f})), kFp32);
}

TEST(Loss, Golden) {
  HERD_NEED_GOLDEN("cross_entropy_loss");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("cross_entropy_loss"), back("cross_entropy_backward");
    const auto result = chunked_loss(with_a_last_row(forward("inputs", "logits", dtype)), shifted(forward("inputs", "targets")), kIdentity, 1.0 / 3, true);
    EXPECT_NEAR(result.sum, forward("outputs", "loss").sum().item<double>(), bound * 10);
    EXPECT_LT(deviation(result.grad_hidden[0].narrow(0, 0, 3), back("outputs", "d_logits")), bound);
  }
}

TEST(Loss, GoldenWithItsHead) {
  HERD_NEED_GOLDEN("fused_lm_head_loss");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("fused_lm_head_loss"), back("fused_lm_head_loss_backward");
    const auto w = leaf(back("inputs", "weight", dtype));
    const auto result = chunked_loss(with_a_last_row(back("inputs", "xF_flat", dtype)), shifted(back("inputs", "targets")),
                                     [&](const Tensor& x) { return matmul_transposed(x, w); }, 1.0 / 3, true, 4);
    EXPECT_NEAR(result.sum, forward("outputs", "loss").sum().item<double>(), bound * 10);
    EXPECT_LT(deviation(result.grad_hidden[0].narrow(0, 0, 3), back("outputs", "d_xF")), bound);
    EXPECT_LT(deviation(w.grad(), back("outputs", "d_weight")), bound);
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

}  // namespace
}  // namespace herd::test
