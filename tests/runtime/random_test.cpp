#include "runtime/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace herd {
namespace {

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, EqualsItsPublishedVectors) {
  EXPECT_EQ(philox(0, 0, 0), (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, NormalHasUnitMoments) {
  Random random(7, 1);
  double sum = 0, squares = 0;
  constexpr int kCount = 200000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  // Five standard errors: 5/sqrt(n) for the mean, 5*sqrt(2/n) for the variance.
  EXPECT_LT(std::abs(sum / kCount), 5 / std::sqrt(kCount));
  EXPECT_LT(std::abs(squares / kCount - 1), 5 * std::sqrt(2.0 / kCount));
}

TEST(Permutation, HoldsEveryIndexOnceAndDependsOnSeedAndEpoch) {
  auto order = permutation(1000, 3, 0);
  EXPECT_EQ(order, permutation(1000, 3, 0));
  EXPECT_NE(order, permutation(1000, 3, 1));
  EXPECT_NE(order, permutation(1000, 4, 0));
  std::sort(order.begin(), order.end());
  for (std::int64_t i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace herd
