#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "parallel/comm/threads.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"
#include "train/trainer.h"

namespace herd::test {
namespace {

constexpr auto kNoHook = [](CausalLm&, int, std::int64_t) {};

struct Setting {
  int ranks = 1;
  TrainOptions options{.epochs = 2, .learning_rate = 1e-2, .warmup = 2, .global_batch_size = 7, .micro_batch_size = 2, .evaluate_every = {}};
  std::size_t held_out = 0;
  bool packing = false;
  at::ScalarType dtype = at::kFloat;
  std::int64_t signal_at_step = -1;     ///< seen by the last rank alone
  std::int64_t save_fails_at_step = -1;  ///< in the background, as the last rank alone knows
  std::function<void(CausalLm&, int rank, std::int64_t asked)> hook = kNoHook;  ///< at each step's end, before the update
};

struct Result {
  TrainOutcome outcome;
  std::vector<MetricsLine> metrics;
  std::vector<std::pair<std::int64_t, bool>> saves;  ///< step, best
  int finished = 0;                                  ///< times that the save in the background was waited for
  std::vector<Tensor> parameters;

  std::vector<double> values(const char* name) const {
    std::vector<double> found;
    for (const auto& line : metrics) {
      if (const auto value = line.get(name)) found.push_back(*value);
    }
    return found;
  }
};

// What a run carries over a stop.
struct Saved {
  TrainState state;
  std::vector<Tensor> tensors;
};

Result run(const Setting& s, const Saved* from = nullptr, Saved* to = nullptr) {
  const Scratch scratch;
  const auto examples = toy_examples(40), held_out = toy_examples(11, 8);
  Result result;
  run_threads(s.ranks, [&](Communicator& c) {
    const auto model = toy_model(5, {}, s.dtype);
    const auto strategy = strategies().at("ddp").make({*model, c, {}, 0});
    AdamW optimizer(strategy->slices(), s.options);
    const SamplerOptions order{.global_batch_size = s.options.global_batch_size, .max_tokens = 30, .packing = s.packing, .seed = 4};
    Batches batches(examples, order, 0);
    const std::vector<Example> held(held_out.begin(), held_out.begin() + static_cast<std::ptrdiff_t>(s.held_out));
    const auto evaluated = s.held_out > 0 ? std::optional<Batches>(std::in_place, held, held_out_order(order, s.held_out), 0) : std::nullopt;
    TrainState state{.loss_scale = LossScale(s.dtype == at::kHalf, s.options.loss_scale)};
    if (from) {
      state = from->state;
      std::size_t i = 0;
      optimizer.for_each_state([&](const Slice&, const std::string&, Tensor& tensor) { tensor.copy_(from->tensors.at(i++)); });
      optimizer.restored(state.updates);
    }
    auto journal = c.rank() == 0 ? Journal(RunFolder(scratch.path()), {.first_step = state.step, .total_steps = planned_steps(s.options, batches),
                                                                       .log_every = 1000, .tensorboard = false, .plot = false})
                                 : Journal();
    std::int64_t asked = state.step;
    Training training{.model = *model, .communicator = c, .strategy = *strategy, .batches = batches, .held_out = evaluated ? &*evaluated : nullptr,
                      .options = s.options, .save_every = Every::steps(3), .journal = journal};
    training.signal = [&] {
      s.hook(*model, c.rank(), ++asked);
      return c.rank() == s.ranks - 1 && asked == s.signal_at_step ? Signal::preempt : Signal::none;
    };
    training.save = [&](const TrainState& now, bool best) {
      if (c.rank() == 0) result.saves.emplace_back(now.step, best);
    };
    training.save_failed = [&] { return c.rank() == s.ranks - 1 && asked + 1 == s.save_fails_at_step; };
    training.finish_save = [&] {
      if (c.rank() == 0) ++result.finished;
      if (asked == s.save_fails_at_step) throw IoError({.who = "the disk", .found = "full before step " + std::to_string(asked) + " ended"});
    };
    const auto outcome = train(training, optimizer, state);
    if (c.rank() != 0) return;
    result.outcome = outcome;
    result.metrics = read_metrics(RunFolder(scratch.path()).metrics());
    for (const auto& slice : strategy->slices()) result.parameters.push_back(slice.value.clone());
    if (!to) return;
    to->state = outcome.state;
    optimizer.for_each_state([&](const Slice&, const std::string&, Tensor& tensor) { to->tensors.push_back(tensor.clone()); });
  });
  return result;
}

TEST(Trainer, LossFallsAndIsTheSameOnAnyNumberOfRanks) {
  for (const bool packing : {false, true}) {
    Setting setting{.packing = packing};
    setting.options.epochs = 4;
    const auto alone = run(setting).values(metric::kLoss);
    EXPECT_GT(alone.front(), 3.5);
    EXPECT_LT(alone.back(), 0.75 * alone.front());
    for (const int ranks : {2, 3, 4}) {
      setting.ranks = ranks;
      const auto spread = run(setting).values(metric::kLoss);
      ASSERT_EQ(spread.size(), alone.size());
      for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(spread[i], alone[i], 1e-5 * alone[i]) << ranks << " ranks, step " << i;
    }
  }
}

TEST(Trainer, StopsWhereItIsTold) {
  Setting setting;
  EXPECT_EQ(run(setting).outcome.state.step, 12);  // 40 rows in steps of 7, twice
  setting.options.max_steps = 5;
  EXPECT_EQ(run(setting).outcome.state.step, 5);
  setting.options.max_steps = 0;
  setting.options.max_tokens = 100;
  const auto by_tokens = run(setting).outcome;
  EXPECT_GE(by_tokens.state.tokens, 100);
  EXPECT_LT(by_tokens.state.step, 4);
}

TEST(Trainer, APausedRunThatGoesOnIsTheWholeRun) {
  Setting setting{.held_out = 11};
  setting.options.evaluate_every = Every::epochs(1);
  const auto whole = run(setting).values(metric::kLoss);
  ASSERT_EQ(whole.size(), 12u);
  Saved saved;
  setting.options.stop_after = 5;  // in the middle of an epoch
  const auto first = run(setting, nullptr, &saved);
  EXPECT_EQ(first.outcome.state.step, 5);
  EXPECT_EQ(first.outcome.reason, StopReason::kDone);
  EXPECT_EQ(first.metrics.back().step, 5);
  EXPECT_TRUE(first.metrics.back().get(metric::kHeldOutLoss)) << "what it is worth so far";
  setting.options.stop_after = 99;
  auto both = first.values(metric::kLoss);
  for (const auto loss : run(setting, &saved).values(metric::kLoss)) both.push_back(loss);
  EXPECT_EQ(both, whole) << "the schedule is that of the whole";
}

TEST(Trainer, SavesWhenDueWhenBestAndAtTheEnd) {
  Setting setting{.held_out = 11};
  setting.options.evaluate_every = Every::epochs(1);
  EXPECT_THAT(run(setting).saves, testing::ElementsAre(testing::Pair(3, false), testing::Pair(6, true), testing::Pair(9, false), testing::Pair(12, true)));
}

TEST(Trainer, EndsWhenTheHeldOutLossNoLongerFalls) {
  Setting setting{.ranks = 2, .held_out = 11};
  setting.options.learning_rate = 0.3;  // far too high: the loss rises soon
  setting.options.epochs = 20;
  setting.options.evaluate_every = Every::steps(1);
  setting.options.patience = 2;
  Saved saved;
  const auto result = run(setting, nullptr, &saved);
  EXPECT_EQ(result.outcome.reason, StopReason::kPatience);
  EXPECT_EQ(result.outcome.state.step, result.outcome.state.best_step + 2);
  const auto losses = result.values(metric::kHeldOutLoss);
  EXPECT_EQ(result.outcome.state.best_loss, *std::min_element(losses.begin(), losses.end()));

  const auto again = run(setting, &saved);
  EXPECT_EQ(again.outcome.reason, StopReason::kPatience);
  EXPECT_EQ(again.outcome.state.step, result.outcome.state.step) << "nothing is trained any more";
}

TEST(Trainer, HeldOutLossDoesNotDependOnRanks) {
  Setting setting{.held_out = 11};
  setting.options.evaluate_every = Every::steps(4);
  const auto alone = run(setting).values(metric::kHeldOutLoss);
  setting.ranks = 3;
  const auto spread = run(setting).values(metric::kHeldOutLoss);
  ASSERT_EQ(alone.size(), 3u);
  ASSERT_EQ(spread.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(spread[i], alone[i], 1e-5);
}

TEST(Trainer, EvaluatesBeforeTheFirstStepWhereAsked) {
  Setting setting{.ranks = 2, .held_out = 11};
  setting.options.learning_rate = 3;  // far too high: the untrained model stays the best
  setting.options.evaluate_every = Every::steps(4);
  const auto without = run(setting);
  setting.options.evaluate_first = true;
  Saved saved;
  setting.signal_at_step = 5;
  run(setting, nullptr, &saved);
  setting.signal_at_step = -1;
  const auto with = run(setting);

  ASSERT_EQ(with.metrics.size(), without.metrics.size() + 1);
  EXPECT_EQ(with.metrics.front().step, 0);
  const auto model = toy_model(5);
  const auto communicator = make_self_communicator();
  const auto examples = toy_examples(11, 8);
  const Batches held_out(examples, held_out_order({.max_tokens = 30}, 11), 0);
  const auto strategy = strategies().at("ddp").make({*model, *communicator, {}, 0});
  EXPECT_NEAR(with.metrics.front().get(metric::kHeldOutLoss).value(), evaluate(*model, *strategy, *communicator, held_out, 11).loss, 1e-5);

  EXPECT_EQ(with.values(metric::kLoss), without.values(metric::kLoss)) << "training is none the wiser";
  EXPECT_EQ(with.saves, without.saves) << "it is never the best";
  EXPECT_LT(with.metrics.front().get(metric::kHeldOutLoss).value(), with.outcome.state.best_loss);
  EXPECT_EQ(with.outcome.state.evaluations_since_best, without.outcome.state.evaluations_since_best);
  EXPECT_EQ(run(setting, &saved).metrics.front().step, 6) << "not again after a resume";
}

TEST(Trainer, NoiseIsTheSameOnAnyNumberOfRanksAndInNoEvaluation) {
  Setting setting{.held_out = 11};
  setting.options.max_steps = 4;
  setting.options.evaluate_first = true;
  const auto plain = run(setting);
  setting.options.neftune_alpha = 5;
  const auto alone = run(setting);
  setting.ranks = 2;
  const auto spread = run(setting);
  const auto losses = alone.values(metric::kLoss), others = spread.values(metric::kLoss);
  ASSERT_EQ(losses.size(), others.size());
  for (std::size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], others[i], 1e-4);
  EXPECT_GT(std::abs(losses.front() - plain.values(metric::kLoss).front()), 1e-3);
  // Before the first step nothing but noise could tell the two runs apart.
  EXPECT_EQ(alone.values(metric::kHeldOutLoss).front(), plain.values(metric::kHeldOutLoss).front());
}

TEST(Trainer, ASignalOfOneRankEndsAllAtTheSameStepAfterASave) {
  const auto result = run({.ranks = 3, .signal_at_step = 4});
  EXPECT_EQ(result.outcome.reason, StopReason::kSignal);
  EXPECT_EQ(result.outcome.signal, Signal::preempt);
  EXPECT_EQ(result.outcome.state.step, 4);
  EXPECT_THAT(result.saves, testing::ElementsAre(testing::Pair(3, false), testing::Pair(4, false)));
}

TEST(Trainer, ASaveThatFailsInTheBackgroundEndsAllRanksAtTheStepsEnd) {
  // Every rank throws: were one to miss it, run_threads would tell of a rank that has left.
  EXPECT_THAT(message_of<Error>([&] { run({.ranks = 3, .save_fails_at_step = 5}); }), testing::HasSubstr("full before step 5 ended"));
  EXPECT_EQ(run({.ranks = 2}).finished, 1) << "the last save is waited for";
  EXPECT_EQ(run({.ranks = 2, .signal_at_step = 4}).finished, 1);
}

TEST(Trainer, ContinuesBitForBit) {
  for (const auto& [dtype, noise] : std::vector<std::pair<at::ScalarType, double>>{{at::kFloat, 0}, {at::kBFloat16, 0}, {at::kFloat, 5}}) {
    Setting setting{.ranks = 2, .dtype = dtype};
    setting.options.neftune_alpha = noise;
    const auto whole = run(setting);
    Saved saved;
    setting.signal_at_step = 8;  // in the middle of the second epoch
    const auto first = run(setting, nullptr, &saved);
    setting.signal_at_step = -1;
    const auto rest = run(setting, &saved);
    const auto whole_losses = whole.values(metric::kLoss), rest_losses = rest.values(metric::kLoss);
    EXPECT_THAT(rest_losses, testing::ElementsAreArray(whole_losses.begin() + 8, whole_losses.end()));
    for (std::size_t i = 0; i < whole.parameters.size(); ++i) EXPECT_TRUE(at::equal(rest.parameters[i], whole.parameters[i])) << i;
  }
}

// From step 3 on, one weight of rank 1 is not a number.
void poison(CausalLm& model, int rank, std::int64_t asked, std::int64_t until) {
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (rank != 1 || name != "model.layers.1.mlp.up_proj.weight") return;
    if (asked == 2) p.value.detach().view(-1)[3] = std::nanf("");
    if (asked == until) p.value.detach().view(-1)[3] = 0;
  });
}

TEST(Trainer, ALossThatIsNotFiniteEndsTheRunWithRankAndStep) {
  Setting setting{.ranks = 2, .hook = [](CausalLm& model, int rank, std::int64_t asked) { poison(model, rank, asked, -1); }};
  EXPECT_THAT(message_of<Error>([&] { run(setting); }),
              testing::AllOf(testing::HasSubstr("step 3"), testing::HasSubstr("the loss of rank 1"),
                             testing::HasSubstr("non_finite=skip")));
}

TEST(Trainer, OrTheStepIsLeftOut) {
  // The update of step 2 comes after the hook and keeps the poison; it is mended at the end of step 4.
  Setting setting{.ranks = 2, .hook = [](CausalLm& model, int rank, std::int64_t asked) { poison(model, rank, asked, 4); }};
  setting.options.non_finite = NonFinite::kSkip;
  const auto result = run(setting);
  EXPECT_EQ(result.outcome.state.step, 12);
  EXPECT_EQ(result.outcome.state.updates, 10);
  EXPECT_TRUE(std::isfinite(result.values(metric::kLoss).back()));
}

TEST(Trainer, Fp16HalvesItsScaleUntilTheGradientsFit) {
  Setting setting{.ranks = 2, .dtype = at::kHalf};
  setting.options.loss_scale = {.initial = 1 << 24, .growth_interval = 1000};
  const auto result = run(setting);
  EXPECT_LT(result.outcome.state.loss_scale.factor(), 1 << 24);
  EXPECT_GE(result.outcome.state.loss_scale.factor(), 1 << 8);
  EXPECT_LT(result.outcome.state.updates, 12);
  EXPECT_GE(result.outcome.state.updates, 4);
  const auto losses = result.values(metric::kLoss);
  EXPECT_LT(losses.back(), losses.front());
}

}  // namespace
}  // namespace herd::test
