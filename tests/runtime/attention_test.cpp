// Attention against its definition with a dense mask, the chunked loss against its closed forms, both against the fp64 goldens.
#include "runtime/nn/attention.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <utility>

#include "runtime/nn/loss.h"
#include "runtime/nn/matmul.h"
#include "tests/support/oracles.h"

namespace herd::test {
namespace {

// --- Attention

// The definition, with the dense mask and bias that no path of herd builds.
Tensor attention_by_definition(const Tensor& q_bthe, const Tensor& k_btke, const Tensor& v_btke, const AttentionLayout& layout) {
  const auto b = q_bthe.size(0), t = q_bthe.size(1), groups = q_bthe.size(2) / k_btke.size(2);
  const auto wide = [&](const Tensor& x) { return x.transpose(1, 2).repeat_interleave(groups, 1); };
  const auto q = q_bthe.transpose(1, 2), k = wide(k_btke), v = wide(v_btke);
  auto seen = at::zeros({b, t, t}, at::kBool);
  const auto query = at::arange(t).unsqueeze(1), key = at::arange(t);
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    const auto& s = layout.segments[i];
    auto pairs = key <= query;
    if (layout.window > 0) pairs = pairs.logical_and(query - key < layout.window);
    const auto prefix = layout.prefixes.empty() ? 0 : layout.prefixes[i];
    pairs = pairs.logical_or((query < s.begin + prefix).logical_and(key < s.begin + prefix));
    const auto inside = [&](const Tensor& at) { return at.ge(s.begin).logical_and(at.lt(s.end)); };
    seen[s.row].logical_or_(pairs.logical_and(inside(query)).logical_and(inside(key)));
  }
  auto scores = q.matmul(k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(-1)));
  if (layout.alibi_slopes.defined()) scores = scores - layout.alibi_slopes.to(at::kDouble).view({-1, 1, 1}) * (query - key);
  const auto p = at::nan_to_num(at::softmax(scores.masked_fill(~seen.unsqueeze(1), -INFINITY), -1));
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
    const auto found = attention(in[0], in[1], in[2], layout), expected = attention_by_definition(in[0], in[1], in[2], layout);
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
  const auto expected = gradients([&](const Inputs& x) { return attention_by_definition(x[0], x[1], x[2], layout); }, in, weight);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LT(deviation(found[i], expected[i]), kGolden) << "input " << i;
}

// Beyond causal: what GLM, Mistral and BLOOM add, forward and backward.
TEST_P(AttentionOf, EveryKindOfLayoutIsTheDefinition) {
  const auto in = inputs(3, 3);
  std::vector<std::int64_t> prefixes;
  for (std::size_t i = 0; i < batch.segments.size(); ++i) prefixes.push_back(static_cast<std::int64_t>(i * 2 % 5) % (batch.segments[i].length() + 1));
  auto weight = at::zeros({batch.rows(), t, 3 * e}, at::kDouble);
  for (const auto& s : batch.segments) weight[s.row].narrow(0, s.begin, s.length()).copy_(random({s.length(), 3 * e}, at::kDouble, 9));
  const auto expect_same = [&](const AttentionLayout& kind, const char* name) {
    const auto found = gradients([&](const Inputs& x) { return attention(x[0], x[1], x[2], kind); }, in, weight);
    const auto expected = gradients([&](const Inputs& x) { return attention_by_definition(x[0], x[1], x[2], kind); }, in, weight);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_LT(deviation(found[i], expected[i]), kGolden) << name << ", input " << i;
    const auto ours = attention(in[0], in[1], in[2], kind) * weight, theirs = attention_by_definition(in[0], in[1], in[2], kind) * weight;
    EXPECT_LT(deviation(ours, theirs), kGolden) << name;
  };
  auto kind = layout;
  kind.window = 2;
  expect_same(kind, "window");
  kind.alibi_slopes = alibi_slopes(3);
  expect_same(kind, "window and alibi");
  kind.window = 0;
  expect_same(kind, "alibi");
  kind.prefixes = prefixes;
  expect_same(kind, "alibi and prefix");
  kind.alibi_slopes = Tensor();
  expect_same(kind, "prefix");
}

INSTANTIATE_TEST_SUITE_P(Batches, AttentionOf,
                         testing::Values(Texts{"WholeRows", {{7}, {7}}}, Texts{"Padded", {{3}, {7}, {1}}},
                                         Texts{"Packed", {{3, 4}, {1, 5, 1}}}, Texts{"PackedAndPadded", {{2, 2}, {7}, {6}, {1, 1, 1}}},
                                         Texts{"PaddedOnTheLeft", {{-3, 4}, {7}}}, Texts{"Gaps", {{-1, 2, -2, 2}, {6}}},
                                         Texts{"ARowOfPadding", {{4, 3}, {}, {5}}}),
                         [](const auto& info) { return info.param.name; });

TEST(Attention, OfEqualKeysIsTheMeanOfWhatCameBefore) {
  const auto v = random({1, 5, 2, 4});
  const auto q = random({1, 5, 2, 4}, at::kDouble, 2), k = at::ones({1, 5, 2, 4}, at::kDouble);
  const auto found = attention(q, k, v, attention_layout(rows_of({{5}}, 5)));
  const auto counts = at::arange(1, 6, at::kDouble).view({1, 5, 1});
  EXPECT_LT(deviation(found, v.flatten(2).cumsum(1) / counts), kGolden);
}

KvText text_of(std::int64_t capacity) { return {.keys = {KvSlab(at::zeros({capacity, 2, 4}, at::kDouble))}, .values = {KvSlab(at::zeros({capacity, 2, 4}, at::kDouble))}}; }

TEST(Attention, OneTokenAtATimeOverTheCacheIsTheWhole) {
  const Inputs in{random({2, 6, 4, 4}), random({2, 6, 2, 4}, at::kDouble, 2), random({2, 6, 2, 4}, at::kDouble, 3)};
  const auto batch = rows_of({{6}, {6}}, 6);
  const auto whole = attention(in[0], in[1], in[2], attention_layout(batch));
  auto some = text_of(8), other = text_of(8);
  KvCache cache{{&some, &other}};
  const auto step = [&](std::int64_t begin, std::int64_t count) {
    const auto part = [&](const Tensor& x) { return x.narrow(1, begin, count); };
    const auto y = attention(part(in[0]), part(in[1]), part(in[2]), {}, &cache, 0);
    cache.advance({count, count});
    EXPECT_LT(deviation(y, part(whole)), kGolden) << "from " << begin;
  };
  step(0, 3);
  for (std::int64_t i = 3; i < 6; ++i) step(i, 1);
}

// A prompt, a stretch behind it, and a token: each has a way of its own through the kernels.
constexpr std::array<std::pair<std::int64_t, std::int64_t>, 3> kSteps{{{0, 5}, {5, 3}, {8, 1}}};

// Where keys fall out of the window, lie behind a prefix, or lose score by their distance.
TEST(Attention, EveryKindOfLayoutOverTheCacheIsTheWhole) {
  const Inputs in{random({1, 9, 4, 4}), random({1, 9, 2, 4}, at::kDouble, 2), random({1, 9, 2, 4}, at::kDouble, 3)};
  AttentionLayout plain = attention_layout(rows_of({{9}}, 9)), window = plain, alibi = plain, prefix = plain;
  window.window = 3;
  alibi.alibi_slopes = alibi_slopes(4);
  prefix.prefixes = {4};
  for (const auto& layout : {plain, window, alibi, prefix}) {
    const auto whole = attention_by_definition(in[0], in[1], in[2], layout);
    auto text = text_of(9);
    KvCache cache{{&text}};
    for (const auto& [begin, count] : kSteps) {
      const auto part = [&](const Tensor& x) { return x.narrow(1, begin, count); };
      auto now = layout;
      now.segments = {{0, 0, count}};
      const auto y = attention(part(in[0]), part(in[1]), part(in[2]), now, &cache, 0);
      cache.advance({count});
      EXPECT_LT(deviation(y, part(whole)), kGolden) << "from " << begin;
    }
  }
}

// Segment by segment: keys and values before its own, at the n places before its first.
Tensor attention_behind_past(const Inputs& in, const AttentionLayout& layout) {
  const auto &q = in[0], &k = in[1], &v = in[2], &past_k = in[3], &past_v = in[4];
  const auto n = past_k.size(0), groups = q.size(2) / k.size(2);
  auto out = at::zeros({q.size(0), q.size(1), q.size(2) * q.size(3)}, q.options().requires_grad(false));
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    const auto& s = layout.segments[i];
    const auto own = [&](const Tensor& x) { return x[s.row].narrow(0, s.begin, s.length()); };
    const auto all = [&](const Tensor& past, const Tensor& x) { return at::cat({past, own(x)}, 0).repeat_interleave(groups, 1).transpose(0, 1); };
    const auto query = at::arange(s.length()).unsqueeze(1), key = at::arange(-n, s.length());
    auto seen = key <= query;
    if (layout.window > 0) seen = seen.logical_and(query - key < layout.window);
    if (!layout.prefixes.empty()) seen = seen.logical_or((query < layout.prefixes[i]).logical_and(key < layout.prefixes[i]));
    auto scores = own(q).transpose(0, 1).matmul(all(past_k, k).transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(3)));
    if (layout.alibi_slopes.defined()) scores = scores - layout.alibi_slopes.to(at::kDouble).view({-1, 1, 1}) * (query - key);
    const auto y = at::softmax(scores.masked_fill(~seen, -INFINITY), -1).matmul(all(past_v, v)).transpose(0, 1).flatten(1);
    out = out.index_put({at::tensor(s.row), at::arange(s.begin, s.end)}, y);
  }
  return out;
}

std::vector<AttentionLayout> layouts_behind_past(const Batch& batch) {
  AttentionLayout plain = attention_layout(batch), window = plain, alibi = plain, prefix = plain;
  window.window = 3;
  alibi.alibi_slopes = alibi_slopes(4);
  for (std::size_t i = 0; i < batch.segments.size(); ++i) prefix.prefixes.push_back(std::min(static_cast<std::int64_t>(i + 2) % 4, batch.segments[i].length()));
  return {plain, window, alibi, prefix};
}

TEST_P(AttentionOf, BehindKeysAndValuesIsTheDefinition) {
  auto in = inputs(4, 2);
  in.push_back(random({5, 2, e}, at::kDouble, 4));
  in.push_back(random({5, 2, e}, at::kDouble, 5));
  for (const auto& layout : layouts_behind_past(batch)) {
    const Layer found = [&](const Inputs& x) {
      auto behind = layout;
      behind.past = {{x[3]}, {x[4]}};
      return attention(x[0], x[1], x[2], behind);
    };
    const Layer expected = [&](const Inputs& x) { return attention_behind_past(x, layout); };
    auto inside = at::zeros({batch.rows(), t, 1}, at::kDouble);
    for (const auto& s : batch.segments) inside[s.row].narrow(0, s.begin, s.length()).fill_(1);
    EXPECT_LT(deviation(found(in) * inside, expected(in)), kGolden);
    const auto weight = random(expected(in).sizes(), at::kDouble, 9) * inside;
    const auto ours = gradients(found, in, weight), theirs = gradients(expected, in, weight);
    for (std::size_t i = 0; i < in.size(); ++i) EXPECT_LT(deviation(ours[i], theirs[i]), kGolden) << "input " << i;
  }
}

TEST(Attention, OverTheCacheBehindKeysAndValuesIsTheWhole) {
  const Inputs in{random({1, 9, 4, 4}), random({1, 9, 2, 4}, at::kDouble, 2), random({1, 9, 2, 4}, at::kDouble, 3), random({3, 2, 4}, at::kDouble, 4),
                  random({3, 2, 4}, at::kDouble, 5)};
  for (auto layout : layouts_behind_past(rows_of({{9}}, 9))) {
    const auto whole = attention_behind_past(in, layout);
    layout.past = {{in[3]}, {in[4]}};
    auto text = text_of(12);
    KvCache cache{{&text}};
    for (const auto& [begin, count] : kSteps) {
      const auto part = [&](const Tensor& x) { return x.narrow(1, begin, count); };
      layout.segments = {{0, 0, count}};
      const auto y = attention(part(in[0]), part(in[1]), part(in[2]), layout, &cache, 0);
      cache.advance({count});
      EXPECT_LT(deviation(y, part(whole)), kGolden) << "from " << begin;
    }
  }
}

// Longer than a stretch of queries, and than what bf16 counts to.
TEST(Attention, LongWindowsAndDistances) {
  const Inputs in{random({1, 1300, 3, 8}), random({1, 1300, 3, 8}, at::kDouble, 2), random({1, 1300, 3, 8}, at::kDouble, 3)};
  auto window = attention_layout(rows_of({{1300}}, 1300)), alibi = window;
  window.window = 700;
  EXPECT_LT(deviation(attention(in[0], in[1], in[2], window), attention_by_definition(in[0], in[1], in[2], window)), kGolden);
  alibi.alibi_slopes = alibi_slopes(3);
  const auto expected = attention_by_definition(in[0], in[1], in[2], alibi);
  EXPECT_LT(deviation(attention(in[0], in[1], in[2], alibi), expected), kGolden);
  const auto narrow = [&](at::ScalarType dtype) {
    return deviation(attention(in[0].to(dtype), in[1].to(dtype), in[2].to(dtype), alibi).to(at::kDouble), expected);
  };
  EXPECT_LT(narrow(at::kFloat), 1e-4);     // scores reach 325, whose neighbours in fp32 lie 3e-5 apart
  EXPECT_LT(narrow(at::kBFloat16), 0.02);  // inputs and outputs of order 1, two to three digits
}

// Press et al. 2022, section 3 (8 and 16 heads); BLOOM-7b1's 32 follow; heads beyond a power of two by BLOOM's rule.
TEST(Attention, AlibiSlopes) {
  EXPECT_TRUE(at::allclose(alibi_slopes(8), at::exp2(-at::arange(1, 9).to(at::kFloat))));
  EXPECT_TRUE(at::allclose(alibi_slopes(16), at::exp2(-at::arange(1, 17).to(at::kFloat) / 2)));
  EXPECT_TRUE(at::allclose(alibi_slopes(3), at::tensor({1.0 / 16, 1.0 / 256, 1.0 / 4}, at::kFloat)));
  EXPECT_TRUE(at::allclose(alibi_slopes(1), at::tensor({1.0 / 256}, at::kFloat)));
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
    const auto gradient = gradients(layer, {back("inputs", "qkv", dtype)}, back("inputs", "d_out", dtype).flatten(2))[0];
    EXPECT_LT(deviation(gradient, back("outputs", "d_qkv")), bound);
  }
}

// --- Loss

/// Hidden rows whose label stands one place further on, as chunked_loss reads them.
Tensor shifted(const Tensor& targets) { return at::cat({at::full({1}, kIgnoreLabel, at::kLong), targets.to(at::kLong)}).unsqueeze(0); }
Tensor with_a_last_row(const Tensor& rows) { return at::cat({rows, at::full({1, rows.size(1)}, 7, rows.options())}).unsqueeze(0); }
const auto kIdentity = [](const Tensor& x) { return x; };

TEST(Loss, OfEqualLogitsIsTheLogOfTheVocabulary) {
  const auto result = chunked_loss(at::zeros({2, 4, 10}), at::full({2, 4}, 3, at::kLong), kIdentity, 10, 0.5, true);
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
    rows += x.size(0);
    return matmul_transposed(x, w);
  };
  const auto result = chunked_loss(hidden, labels, head, 11, 1, true);
  EXPECT_EQ(rows, 2);
  const auto log_p = at::log_softmax(matmul_transposed(hidden, w), -1);
  EXPECT_NEAR(result.sum, -(log_p[0][1][4] + log_p[1][3][0]).item<double>(), 1e-12);
}

TEST(Loss, NothingSupervisedCostsNothing) {
  const auto never = [](const Tensor&) -> Tensor { throw std::logic_error("asked for logits"); };
  const auto result = chunked_loss(random({2, 3, 4}), at::full({2, 3}, kIgnoreLabel, at::kLong), never, 4, 1, true);
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
    results.push_back(chunked_loss(hidden, labels, [&](const Tensor& x) { return matmul_transposed(x, w); }, 13, 0.1, true, elements));
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
  const auto found = chunked_loss(hidden, labels, head, 6, 2, true).grad_hidden;
  for (std::int64_t j = 0; j < hidden.numel(); ++j) {
    const auto moved = [&](double by) {
      auto x = hidden.clone();
      x.view(-1)[j].add_(by);
      return chunked_loss(x, labels, head, 6, 2, false).sum;
    };
    EXPECT_NEAR(found.view(-1)[j].item<double>(), 2 * (moved(h) - moved(-h)) / (2 * h), kDifference);
  }
}

TEST(Loss, HugeLogitsStayFinite) {
  const auto logits = at::tensor({5e4f, -5e4f, 0.0f}).view({1, 1, 3}).expand({1, 2, 3});
  const auto result = chunked_loss(logits, shifted(at::tensor({1}, at::kLong)), kIdentity, 3, 1, true);
  EXPECT_NEAR(result.sum, 1e5, 1e-2);
  EXPECT_LT(deviation(result.grad_hidden[0][0], at::tensor({1.0f, -1.0f, 0.0f})), kFp32);
}

TEST(Loss, Golden) {
  HERD_NEED_GOLDEN("cross_entropy_loss");
  for (const auto& [dtype, bound] : kPrecisions) {
    const Golden forward("cross_entropy_loss"), back("cross_entropy_backward");
    const auto hidden = with_a_last_row(forward("inputs", "logits", dtype));
    const auto result = chunked_loss(hidden, shifted(forward("inputs", "targets")), kIdentity, hidden.size(2), 1.0 / 3, true);
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
                                     [&](const Tensor& x) { return matmul_transposed(x, w); }, w.size(0), 1.0 / 3, true, 4);
    EXPECT_NEAR(result.sum, forward("outputs", "loss").sum().item<double>(), bound * 10);
    EXPECT_LT(deviation(result.grad_hidden[0].narrow(0, 0, 3), back("outputs", "d_xF")), bound);
    EXPECT_LT(deviation(w.grad(), back("outputs", "d_weight")), bound);
  }
}

}  // namespace
}  // namespace herd::test
