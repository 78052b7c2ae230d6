#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/support/toy_model.h"
#include "train/loss_scale.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/stragglers.h"

namespace herd::test {
namespace {

TEST(Schedule, WarmsUpThenFallsAsItsFormula) {
  TrainOptions options{.learning_rate = 2.0, .schedule = ScheduleKind::kLinear, .warmup = 0.2};
  const Schedule linear(options, 20);
  EXPECT_DOUBLE_EQ(linear.learning_rate(0), 0.5);
  EXPECT_DOUBLE_EQ(linear.learning_rate(3), 2.0);
  EXPECT_DOUBLE_EQ(linear.learning_rate(4), 2.0);
  EXPECT_DOUBLE_EQ(linear.learning_rate(12), 1.0);
  EXPECT_DOUBLE_EQ(linear.learning_rate(20), 0.0);
  options.schedule = ScheduleKind::kCosine;
  const Schedule cosine(options, 20);
  EXPECT_DOUBLE_EQ(cosine.learning_rate(8), 1 + std::cos(std::numbers::pi * 4 / 16));
  EXPECT_NEAR(cosine.learning_rate(20), 0, 1e-15);
  options.schedule = ScheduleKind::kConstant;
  options.warmup = 3;
  const Schedule constant(options, 20);
  EXPECT_DOUBLE_EQ(constant.learning_rate(1), 4.0 / 3);
  EXPECT_DOUBLE_EQ(constant.learning_rate(2), 2.0);
  EXPECT_DOUBLE_EQ(constant.learning_rate(19), 2.0);
}

TEST(Schedule, WithoutWarmupBeginsAtThePeak) {
  const Schedule schedule({.learning_rate = 1e-3, .schedule = ScheduleKind::kCosine, .warmup = 0}, 10);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(0), 1e-3);
}

struct Owned {
  Parameter matrix, bias;
  std::vector<Slice> slices;
};

Owned two_parameters(at::ScalarType dtype) {
  Owned o{Parameter({3, 5}, {"a", "b"}), Parameter({5}, {"b"}), {}};
  for (auto* p : {&o.matrix, &o.bias}) {
    materialise(*p, dtype);
    p->name = p == &o.matrix ? "m" : "b";
    initialise(*p, 3, 1.0);
  }
  for (auto* p : {&o.matrix, &o.bias}) o.slices.push_back({p, 0, p->value.numel(), p->value.detach().view(-1), at::zeros({p->value.numel()})});
  return o;
}

// Algorithm 2 of Loshchilov & Hutter 2019, in fp64.
TEST(AdamW, FollowsItsFormulaAndDecaysMatricesAlone) {
  auto o = two_parameters(at::kFloat);
  const TrainOptions options{.weight_decay = 0.1, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-6};
  AdamW optimizer(o.slices, options);
  std::vector<Tensor> x, m, v;
  for (const auto& slice : o.slices) {
    x.push_back(slice.value.to(at::kDouble));
    m.push_back(at::zeros_like(x.back()));
    v.push_back(at::zeros_like(x.back()));
  }
  for (int step = 1; step <= 5; ++step) {
    const double rate = 0.05 / step;
    for (std::size_t i = 0; i < 2; ++i) {
      auto& slice = o.slices[i];
      for (std::int64_t k = 0; k < slice.grad.numel(); ++k) slice.grad[k] = std::sin(static_cast<double>(k + 1) * step + static_cast<double>(i));
      const auto g = slice.grad.to(at::kDouble);
      m[i] = 0.8 * m[i] + 0.2 * g;
      v[i] = 0.9 * v[i] + 0.1 * g * g;
      const auto update = (m[i] / (1 - std::pow(0.8, step))) / ((v[i] / (1 - std::pow(0.9, step))).sqrt() + 1e-6);
      x[i] = x[i] - rate * (update + (i == 0 ? 0.1 : 0.0) * x[i]);
    }
    optimizer.step(rate);
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_LT((o.slices[i].value - x[i]).abs().max().item<double>(), 2e-6) << i;
}

TEST(AdamW, KeepsFp32MastersOfBf16Parameters) {
  auto narrow = two_parameters(at::kBFloat16), wide = two_parameters(at::kBFloat16);
  for (auto& slice : wide.slices) slice.value = slice.value.to(at::kFloat);
  AdamW narrow_optimizer(narrow.slices, {}), wide_optimizer(wide.slices, {});
  for (int step = 0; step < 50; ++step) {  // each update alone is far below bf16's resolution
    for (auto* slices : {&narrow.slices, &wide.slices}) {
      for (auto& slice : *slices) slice.grad.fill_(1);
    }
    narrow_optimizer.step(1e-4);
    wide_optimizer.step(1e-4);
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(narrow.slices[i].value, wide.slices[i].value.to(at::kBFloat16)));
}

using Steps = std::vector<Stragglers::Work>;

TEST(Stragglers, NamesTheSlowRankAndThenSpeaksLessAndLess) {
  Stragglers stragglers(4, 1.5, 0.5);
  std::vector<int> told;  // windows
  for (int step = 0; step < 4 * 16; ++step) {
    const auto found = stragglers.add(Steps{{1, 100}, {2.5, 100}, {1.1, 100}, {0.9, 100}});
    if (!found) continue;
    EXPECT_EQ(found->rank, 1);
    EXPECT_EQ(found->steps, 4);
    EXPECT_NEAR(found->times, 2.5, 1e-9);  // the others' median is 1
    told.push_back(step / 4);
  }
  EXPECT_EQ(told, (std::vector{0, 1, 3, 7, 15}));
}

TEST(Stragglers, ARankThatIsDealtMoreIsNotSlow) {
  Stragglers stragglers(2, 1.5, 0.5);
  for (int step = 0; step < 8; ++step) {
    EXPECT_FALSE(stragglers.add(Steps{{9, 900}, {1, 100}}));
    EXPECT_FALSE(stragglers.add(Steps{{1, 10}, {1, 0}}));  // a rank without rows in these two steps alone
  }
  EXPECT_FALSE(stragglers.add(Steps{{5, 1}, {0, 0}}));
}

TEST(Stragglers, OneSlowStepOrAMomentsWorkSayNothing) {
  Stragglers stragglers(20, 1.5, 0.5);
  for (int step = 0; step < 20; ++step) EXPECT_FALSE(stragglers.add(Steps{{step == 3 ? 5.0 : 1.0, 1}, {1, 1}}));
  for (int step = 0; step < 20; ++step) EXPECT_FALSE(stragglers.add(Steps{{0.02, 1}, {0.001, 1}}));
}

TEST(LossScale, HalvesOnOverflowAndDoublesAfterAQuietTime) {
  LossScale scale(true, {.initial = 8, .growth_interval = 2});
  EXPECT_TRUE(scale.step_overflowed());
  EXPECT_EQ(scale.factor(), 4);
  scale.step_was_finite();
  EXPECT_EQ(scale.factor(), 4);
  scale.step_was_finite();
  EXPECT_EQ(scale.factor(), 8);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(scale.step_overflowed());
  EXPECT_FALSE(scale.step_overflowed());  // at 1 the scale is not to blame
  LossScale off(false, {});
  EXPECT_EQ(off.factor(), 1);
  EXPECT_FALSE(off.step_overflowed());
}

}  // namespace
}  // namespace herd::test
