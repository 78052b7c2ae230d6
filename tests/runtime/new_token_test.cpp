// What a new token of each of a few texts runs through on the CPU: the kernels against the definition in fp64.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "runtime/nn/attention.h"
#include "runtime/nn/few_rows_bf16.h"
#include "runtime/nn/matmul.h"
#include "tests/support/oracles.h"

namespace herd::test {
namespace {

// fp32 sums of some thousand terms, and what storing a bf16 rounds by.
double bound(at::ScalarType dtype) { return dtype == at::kFloat ? 2e-6 : 4e-3; }

TEST(FewRows, AreTheProductOfEveryShape) {
  const at::NoGradGuard no_grad;
  const FewRowsScope few_rows;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const std::int64_t in : {1, 15, 16, 17, 96, 577})
      for (const std::int64_t out : {1, 3, 4, 7, 130})
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 16}) {
          const auto x = random({rows, in}, at::kDouble, 1).to(dtype), w = random({out, in}, at::kDouble, 2).to(dtype);
          const auto expected = at::linear(x.to(at::kDouble), w.to(at::kDouble));
          EXPECT_LT(relative_deviation(matmul_transposed(x, w).to(at::kDouble), expected), bound(dtype)) << rows << " x " << in << " x " << out;
        }
}

// Either of the ways of a bf16 product, whichever this processor takes.
TEST(FewRows, OfBf16OnAnyProcessor) {
  for (const std::int64_t in : {1, 31, 33, 96, 577})
    for (const std::int64_t rows : {1, 5, 7, 16}) {
      const auto x = random({rows, in}, at::kDouble, 1).to(at::kBFloat16), w = random({9, in}, at::kDouble, 2).to(at::kBFloat16);
      const auto numbers = [](const Tensor& t) { return static_cast<const kernel::Bf16*>(t.const_data_ptr()); };
      for (const auto way : {kernel::few_rows_widened, kernel::few_rows_bf16}) {
        if (way == kernel::few_rows_bf16 && !kernel::has_bf16_products()) continue;
        const auto y = at::zeros({rows, 9}, at::kBFloat16);
        way(numbers(x), numbers(w), static_cast<kernel::Bf16*>(y.mutable_data_ptr()), rows, in, 9, 0, 9);
        EXPECT_LT(relative_deviation(y.to(at::kDouble), at::linear(x.to(at::kDouble), w.to(at::kDouble))), bound(at::kBFloat16)) << rows << " x " << in;
      }
    }
}

TEST(FewRows, OfARowAreTheSameBitsInAnyCompanyOnAnyThreads) {
  const at::NoGradGuard no_grad;
  const FewRowsScope few_rows;
  const auto threads = at::get_num_threads();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto x = random({16, 301}, at::kDouble, 1).to(dtype), w = random({1001, 301}, at::kDouble, 2).to(dtype);
    const auto all = matmul_transposed(x, w);
    for (const int n : {1, 3}) {
      at::set_num_threads(n);
      for (std::int64_t count = 1; count <= 16; ++count)
        EXPECT_TRUE(matmul_transposed(x.narrow(0, 16 - count, count), w).equal(all.narrow(0, 16 - count, count))) << count << " rows";
    }
  }
  at::set_num_threads(threads);
}

TEST(FewRows, LeaveAloneWhatIsToBeDifferentiatedOrTrained) {
  const auto x = random({3, 20}, at::kDouble, 1).to(at::kFloat).requires_grad_(), w = random({8, 20}, at::kDouble, 2).to(at::kFloat);
  const auto product = matmul_transposed(x, w);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(matmul_transposed(x, w).equal(product)) << "as when activations are recomputed";
  const FewRowsScope few_rows;
  const at::AutoGradMode grad(true);
  EXPECT_TRUE(matmul_transposed(x, w).requires_grad());
}

struct Case {
  std::int64_t heads, kv_heads, width, window, past;
  bool alibi;
};

TEST(OneQuery, IsTheDefinitionForTextsOfAnyLengthSideBySide) {
  const at::NoGradGuard no_grad;
  const std::vector<std::int64_t> held{1, 7, 64, 300};
  for (const auto& c : {Case{4, 2, 8, 0, 0, false}, Case{6, 1, 33, 0, 0, false}, Case{8, 8, 64, 0, 5, false}, Case{4, 4, 16, 6, 0, false}, Case{4, 2, 16, 0, 3, true}, Case{2, 2, 7, 50, 4, true}})
    for (const auto& [dtype, int8] : {std::pair(at::kFloat, false), std::pair(at::kBFloat16, false), std::pair(at::kFloat, true), std::pair(at::kBFloat16, true)}) {
      std::vector<KvText> texts(held.size());
      KvCache cache;
      AttentionLayout layout{.window = c.window};
      if (c.alibi) layout.alibi_slopes = alibi_slopes(c.heads);
      if (c.past > 0) layout.past = {{at::zeros({c.past, c.kv_heads, c.width})}, {at::zeros({c.past, c.kv_heads, c.width})}};
      for (std::size_t i = 0; i < held.size(); ++i) {
        const auto slab = [&, dtype = dtype, int8 = int8](std::size_t seed) {
          KvSlab filled(c.past + held[i] + 3, c.kv_heads, c.width, dtype, int8);
          filled.put(0, random({filled.capacity(), c.kv_heads, c.width}, at::kDouble, static_cast<int>(seed)));
          return filled;
        };
        texts[i] = {.keys = {slab(i)}, .values = {slab(10 + i)}, .length = held[i]};
        cache.texts.push_back(&texts[i]);
      }
      const auto n = std::ssize(held);
      const auto q = random({n, 1, c.heads, c.width}, at::kDouble, 20).to(dtype), k = random({n, 1, c.kv_heads, c.width}, at::kDouble, 21).to(dtype), v = random({n, 1, c.kv_heads, c.width}, at::kDouble, 22).to(dtype);
      const auto found = attention(q, k, v, layout, &cache, 0);
      for (std::int64_t row = 0; row < n; ++row) {
        const auto& text = texts[static_cast<std::size_t>(row)];
        const auto count = c.past + text.length + 1, seen = c.window > 0 ? std::min(c.window, count) : count;
        const auto all = [&](const KvSlab& slab) { return slab.get(count - seen, seen, at::kFloat).to(at::kDouble).repeat_interleave(c.heads / c.kv_heads, 1).transpose(0, 1); };  // [h, seen, e]
        EXPECT_LE((text.keys[0].get(count - 1, 1, at::kFloat)[0] - k[row][0]).abs().max().item<float>(), int8 ? k[row][0].abs().max().item<float>() / 253 : 0);
        auto scores = at::matmul(all(text.keys[0]), q[row][0].to(at::kDouble).unsqueeze(-1)).squeeze(-1) / std::sqrt(static_cast<double>(c.width));
        if (c.alibi) scores = scores - layout.alibi_slopes.to(at::kDouble).unsqueeze(1) * (seen - 1 - at::arange(seen));
        const auto expected = at::matmul(at::softmax(scores, -1).unsqueeze(1), all(text.values[0])).flatten();
        EXPECT_LT(relative_deviation(found[row].flatten().to(at::kDouble), expected), 2 * bound(dtype)) << "text " << row << ", width " << c.width;
      }
    }
}

// Each head of a token on the grid of its own greatest magnitude: half a step off at most, that one exact, whatever stands beside it.
TEST(KvSlab, InEightBitsIsTheNearestOf255) {
  const auto x = random({5, 3, 33}, at::kDouble, 7).to(at::kFloat) * at::tensor({1e-3f, 1.0f, 1e3f}).view({1, 3, 1});
  x[2][1].zero_();
  KvSlab slab(9, 3, 33, at::kFloat, true);
  slab.put(1, x.narrow(0, 0, 1));
  slab.put(2, x.narrow(0, 1, 4));
  const auto found = slab.get(1, 5, at::kFloat), absmax = x.abs().amax(-1, true);
  EXPECT_TRUE(((found - x).abs() <= absmax / 254 * (1 + 1e-5)).all().item<bool>());
  EXPECT_TRUE(at::allclose(found.abs().amax(-1, true), absmax, 1e-6, 0));
  EXPECT_GT((found - x).abs().max().item<float>(), 0) << "it is rounded";
  EXPECT_TRUE(found[2][1].eq(0).all().item<bool>());
  KvSlab copy(5, 3, 33, at::kFloat, true);
  copy.copy_beginning(slab, 4);
  EXPECT_TRUE(copy.get(1, 3, at::kBFloat16).equal(slab.get(1, 3, at::kBFloat16)));
}

}  // namespace
}  // namespace herd::test
