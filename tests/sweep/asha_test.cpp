// ASHA's rule against closed cases and a second, plain writing of the paper's algorithm 2.
#include "sweep/asha.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/base/random.h"

namespace herd::sweep {
namespace {

using testing::ElementsAre;

TEST(AshaRungs, GrowByTheFactorAndEndAtTheMost) {
  EXPECT_THAT((AshaOptions{100, 800, 2}.rungs()), ElementsAre(100, 200, 400, 800));
  EXPECT_THAT((AshaOptions{100, 1000, 3}.rungs()), ElementsAre(100, 300, 900, 1000));
  EXPECT_THAT((AshaOptions{1, 2, 4}.rungs()), ElementsAre(1, 2));
  EXPECT_THAT((AshaOptions{3, 9, 3}.rungs()), ElementsAre(3, 9));
}

TEST(Asha, NewPointsWhileNobodyMayClimb) {
  std::vector<Climber> climbers(4);
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{0, 0}));
  climbers[0].rungs = {1.0};
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{1, 0})) << "half of one is none";
  climbers[1].rungs = {0.5};
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{1, 1})) << "the better of two climbs";
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMax), (Climb{0, 1}));
  climbers[1].busy = true;
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{2, 0}));
}

TEST(Asha, WhatWasBegunGoesOnFirst) {
  std::vector<Climber> climbers(3);
  climbers[0].rungs = {1.0};
  climbers[1].rungs = {0.5};
  climbers[2].begun = true;
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{2, 0}));
  climbers[2].busy = true;
  EXPECT_EQ(next_climb(climbers, 3, 2, Goal::kMin), (Climb{1, 1}));
}

TEST(Asha, ADivergedPointIsWorstAndNeverClimbs) {
  std::vector<Climber> climbers(2);
  climbers[0].rungs = {std::numeric_limits<double>::infinity()};
  climbers[1].rungs = {std::numeric_limits<double>::quiet_NaN()};
  EXPECT_EQ(next_climb(climbers, 2, 2, Goal::kMax), std::nullopt);
  climbers.push_back({.rungs = {7}});
  climbers.push_back({.rungs = {8}});
  EXPECT_EQ(next_climb(climbers, 2, 2, Goal::kMax), (Climb{3, 1}));
}

// As the paper writes it: rungs of (value, point), and which of them were promoted.
class Plain {
 public:
  Plain(int points, int rungs, int factor) : points_(points), rungs_(rungs), factor_(factor) {}

  std::optional<Climb> get_job() {
    for (int k = rungs_ - 2; k >= 0; --k) {
      auto sorted = done_[k];
      std::sort(sorted.begin(), sorted.end());
      const auto count = static_cast<int>(sorted.size()) / factor_;
      for (int i = 0; i < count; ++i) {
        const auto point = sorted[static_cast<std::size_t>(i)].second;
        if (promoted_[k].insert(point).second) return Climb{static_cast<std::size_t>(point), static_cast<std::size_t>(k + 1)};
      }
    }
    if (begun_ == points_) return std::nullopt;
    return Climb{static_cast<std::size_t>(begun_++), 0};
  }
  void finish(const Climb& climb, double value) { done_[static_cast<int>(climb.rung)].emplace_back(value, static_cast<int>(climb.point)); }

 private:
  int points_, rungs_, factor_, begun_ = 0;
  std::map<int, std::vector<std::pair<double, int>>> done_;
  std::map<int, std::set<int>> promoted_;
};

TEST(Asha, IsThePapersAlgorithmForAnyNumberOfWorkers) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed, 0);
    const int points = 1 + static_cast<int>(random.below(30)), rungs = 2 + static_cast<int>(random.below(4)), factor = 2 + static_cast<int>(random.below(3));
    const auto workers = 1 + random.below(4);
    Plain plain(points, rungs, factor);
    std::vector<Climber> climbers(static_cast<std::size_t>(points));
    std::vector<Climb> under_way;
    int jobs = 0;
    while (true) {
      while (under_way.size() < workers) {
        const auto expected = plain.get_job(), found = next_climb(climbers, static_cast<std::size_t>(rungs), factor, Goal::kMin);
        ASSERT_EQ(found, expected) << "seed " << seed << ", job " << jobs;
        if (!found) break;
        ++jobs;
        climbers[found->point].busy = true;
        under_way.push_back(*found);
      }
      if (under_way.empty()) break;
      const auto at = static_cast<std::ptrdiff_t>(random.below(under_way.size()));  // they end in any order
      const auto done = under_way[static_cast<std::size_t>(at)];
      under_way.erase(under_way.begin() + at);
      const auto value = static_cast<double>(random.below(10));  // many equal ones
      climbers[done.point].busy = false;
      climbers[done.point].rungs.push_back(value);
      plain.finish(done, value);
    }
    EXPECT_GE(jobs, points);
  }
}

}  // namespace
}  // namespace herd::sweep
