// Every strategy against one rank: losses, gradients and parameters of several optimizer steps.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "data/batches.h"
#include "parallel/comm/latency.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"

namespace herd::test {
namespace {

constexpr int kSteps = 8;
constexpr std::int64_t kRows = 7;
// Sums over rows and ranks in another order, fp64; eight AdamW steps carry a difference of the last bits on.
constexpr double kFp64 = 1e-10;

struct Case {
  std::string strategy = "ddp";
  int ranks = 1;
  std::int64_t micro_batch_size = kRows;
  std::int64_t recompute_every = 0;
  std::string method = "none";
  ParallelOptions options;
  nlohmann::json model = {};
  at::ScalarType dtype = at::kDouble;
  LatencyOptions latency;
  std::function<void(CausalLm&)> change = [](CausalLm&) {};  ///< of the model, before anything is attached

  std::string text() const {
    return strategy + " on " + std::to_string(ranks) + ", micro-batches of " + std::to_string(micro_batch_size) + ", recompute " +
           std::to_string(recompute_every) + ", " + method + ", prefetch " + std::to_string(options.prefetch) + " " + model.dump();
  }
};

// What all ranks together did: whole tensors by name, a step after the other.
struct Course {
  std::vector<double> losses, norms;
  std::vector<std::map<std::string, Tensor>> gradients, parameters;
};

Course course_of(const Case& c) {
  at::set_num_threads(1);  // ranks are threads already
  Course course{std::vector<double>(kSteps), std::vector<double>(kSteps), std::vector<std::map<std::string, Tensor>>(kSteps),
                std::vector<std::map<std::string, Tensor>>(kSteps)};
  std::mutex mutex;
  const auto examples = toy_examples(kSteps * kRows);
  run_threads(c.ranks, [&](Communicator& direct) {
    std::optional<LatencyCommunicator> delayed;
    if (c.latency.latency_s > 0) delayed.emplace(direct, c.latency);
    auto& communicator = delayed ? static_cast<Communicator&>(*delayed) : direct;
    const auto model = toy_model(5, c.model, c.dtype);
    c.change(*model);
    PeftOptions peft{.method = c.method, .r = 3, .num_virtual_tokens = 3, .prefix_projection = true, .encoder = PromptEncoderKind::kLstm};
    peft.target_modules = {{"q_proj", "down_proj"}, false};
    attach(*model, peft, 3);
    // LoRA begins with B = 0, which would leave A without a gradient.
    for_each_parameter(*model, [](const std::string& name, Parameter& p) {
      if (p.trainable && name.ends_with("lora_B.weight")) p.value.detach().fill_(0.05);
    });
    const auto strategy = strategies().at(c.strategy).make({*model, communicator, c.options, c.recompute_every});
    AdamW optimizer(strategy->slices(), {.weight_decay = 0.1});
    const Batches batches(examples, {.global_batch_size = kRows, .max_tokens = 30}, 0);
    for (int step = 0; step < kSteps; ++step) {
      const auto micro = batches.micro_batches(step, communicator.rank(), c.ranks, c.micro_batch_size);
      double loss = 0;
      for (std::size_t i = 0; i < micro.size(); ++i)
        loss += strategy->forward_backward(micro[i], 1.0 / static_cast<double>(batches.rows(step).supervised_tokens), i + 1 == micro.size());
      strategy->finish_gradients();
      const auto norm = strategy->gradient_norm();
      {
        const std::lock_guard lock(mutex);
        const auto at = static_cast<std::size_t>(step);
        course.losses[at] += loss;
        EXPECT_TRUE(course.norms[at] == 0 || course.norms[at] == norm) << "ranks see different norms";
        course.norms[at] = norm;
        for (const auto& slice : strategy->slices()) {
          auto& whole = course.gradients[at][slice.parameter->name];
          if (!whole.defined()) whole = at::full({slice.parameter->value.numel()}, std::nan(""), slice.grad.options());
          whole.narrow(0, slice.begin, slice.end - slice.begin).copy_(slice.grad);
        }
      }
      strategy->scale_gradients(1 / std::max(1.0, norm));
      optimizer.step(0.01);
      strategy->values_changed();
      strategy->with_whole_parameters(true, [&] {
        if (communicator.rank() != 0) return;
        for_each_parameter(*model, [&](const std::string&, Parameter& p) {
          course.parameters[static_cast<std::size_t>(step)][p.name] = p.value.detach().clone().view(-1);
        });
      });
    }
  }, {.check = true});
  return course;
}

void expect_same(const std::map<std::string, Tensor>& found, const std::map<std::string, Tensor>& expected, double bound, const std::string& what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << what << " of " << name;
    const auto deviation = (found.at(name) - tensor).abs().max().item<double>();
    ASSERT_LE(deviation, bound * (1 + tensor.abs().max().item<double>())) << what << " of " << name;  // false for NaN
  }
}

void expect_same(const Course& found, const Course& expected, double bound, const std::string& of) {
  for (std::size_t step = 0; step < kSteps; ++step) {
    const auto where = of + ", step " + std::to_string(step);
    // Sums over ranks in fp64, in this test and in the norm: in the order in which ranks come by.
    ASSERT_NEAR(found.losses[step], expected.losses[step], (bound + 1e-15) * expected.losses[step]) << where;
    ASSERT_NEAR(found.norms[step], expected.norms[step], (bound + 1e-15) * expected.norms[step]) << where;
    expect_same(found.gradients[step], expected.gradients[step], bound, where + ": the gradient");
    expect_same(found.parameters[step], expected.parameters[step], bound, where + ": the value");
  }
}

const nlohmann::json kUntied{{"tie_word_embeddings", false}};
// Primes and odd sizes, so that no part is a whole number of rows.
const nlohmann::json kAwkward{{"vocab_size", kToyVocab}, {"hidden_size", 28}, {"intermediate_size", 37}, {"num_attention_heads", 2}, {"num_key_value_heads", 1},
                              {"num_hidden_layers", 3}};

class EveryStrategy : public testing::TestWithParam<std::string> {};

TEST_P(EveryStrategy, TakesTheCourseOfOneRank) {
  for (const auto& shape : {nlohmann::json::object(), kUntied, kAwkward})
    for (const auto& method : {"none", "lora"}) {
      const auto alone = course_of({.method = method, .model = shape});
      for (const int ranks : {1, 2, 3, 4})
        for (const std::int64_t micro_batch_size : {std::int64_t{2}, kRows}) {
          if (ranks == 1 && micro_batch_size == kRows && GetParam() == "ddp") continue;  // that is the one compared with
          Case c{.strategy = GetParam(), .ranks = ranks, .micro_batch_size = micro_batch_size, .method = method, .model = shape};
          c.options.bucket_bytes = 4096;
          if (c.strategy == "hsdp") c.options.shard_degree = ranks % 2 == 0 ? 2 : 1;
          expect_same(course_of(c), alone, kFp64, c.text());
          if (HasFatalFailure()) return;
        }
    }
}

TEST_P(EveryStrategy, OptionsChangeNothing) {
  const auto tied = nlohmann::json::object();
  for (const auto& [method, shape] : {std::pair{"none", tied}, std::pair{"none", kUntied}, std::pair{"lora", kUntied}}) {
    const auto alone = course_of({.method = method, .model = shape});
    Case c{.strategy = GetParam(), .ranks = 4, .micro_batch_size = 1, .method = method, .model = shape};
    if (c.strategy == "hsdp") c.options.shard_degree = 2;
    for (const std::int64_t prefetch : {0, 1, 5})
      for (const std::int64_t recompute_every : {0, 2})
        for (const bool each : {true, false}) {
          c.recompute_every = recompute_every;
          c.options.prefetch = prefetch;
          c.options.reduce_each_micro_batch = each;
          expect_same(course_of(c), alone, kFp64, c.text());
          if (HasFatalFailure()) return;
        }
    c.options.overlap = false;
    expect_same(course_of(c), alone, kFp64, c.text() + ", no overlap");
    if (!strategies().at(c.strategy).parameters) continue;
    c.options.offload = Offload::kParameters;
    expect_same(course_of(c), alone, kFp64, c.text() + ", on the host");
  }
}

// The producer of a side input is a unit of the pass like others: its backward comes last, from what every block left.
TEST_P(EveryStrategy, SideInputsTakeTheCourseOfOneRank) {
  for (const auto& method : {"prompt", "p_tuning", "prefix"}) {
    const auto alone = course_of({.method = method});
    for (const int ranks : {1, 2, 3})
      for (const std::int64_t recompute_every : {0, 1, 2}) {
        Case c{.strategy = GetParam(), .ranks = ranks, .micro_batch_size = ranks, .recompute_every = recompute_every, .method = method};
        if (c.strategy == "hsdp") c.options.shard_degree = ranks == 2 ? 2 : 1;
        expect_same(course_of(c), alone, kFp64, c.text());
        if (HasFatalFailure()) return;
      }
  }
}

// With micro-batches of a row ranks differ in the order of fp32 sums alone. That now and then rounds a parameter to the neighbouring bf16
// number, one part in 2^8, and what is computed with it moves likewise.
TEST_P(EveryStrategy, TakesTheCourseOfOneRankInBf16) {
  constexpr double kBf16 = 1.0 / 64;
  for (const auto& method : {"none", "lora"}) {
    Case c{.micro_batch_size = 1, .method = method, .dtype = at::kBFloat16};
    const auto alone = course_of(c);
    c.strategy = GetParam();
    c.ranks = 4;
    if (c.strategy == "hsdp") c.options.shard_degree = 2;
    expect_same(course_of(c), alone, kBf16, c.text() + ", bf16");
  }
}

// Each rank's part is rounded once on its way: the sum moves by one part in 2^9 of what is summed.
TEST_P(EveryStrategy, RoundsGradientsThatTravelInBf16) {
  Case c{.micro_batch_size = 1, .dtype = at::kFloat};
  const auto alone = course_of(c);
  c.strategy = GetParam();
  c.ranks = 4;
  c.options.reduce_dtype = ReduceDtype::kBf16;
  if (c.strategy == "hsdp") c.options.shard_degree = 2;
  const auto found = course_of(c);
  expect_same(found.gradients[0], alone.gradients[0], 1.0 / 128, c.text());
  double deviation = 0;
  for (const auto& [name, gradient] : alone.gradients[0])
    deviation = std::max(deviation, (found.gradients[0].at(name) - gradient).abs().max().item<double>() / gradient.abs().max().item<double>());
  EXPECT_GT(deviation, 1.0 / 4096) << "nothing was rounded";
  for (std::size_t step = 0; step < kSteps; ++step) EXPECT_NEAR(found.losses[step], alone.losses[step], 0.02 * alone.losses[step]) << step;
}

// The greatest gradient of one parameter overflows, no other does, and the loss is finite.
TEST_P(EveryStrategy, NamesTheParameterWhoseGradientIsNotFinite) {
  const auto examples = toy_examples(2);
  const Batches batches(examples, {.global_batch_size = 2, .max_tokens = 30}, 0);
  std::vector<std::pair<double, std::string>> greatest;
  {
    const auto model = toy_model(5, kUntied, at::kFloat);
    Pass(*model).forward_backward(batches.micro_batches(0, 1, 2, 1).at(0), 1);
    for_each_parameter(*model, [&](const std::string& name, Parameter& p) { greatest.emplace_back(p.value.grad().abs().max().item<double>(), name); });
    std::sort(greatest.rbegin(), greatest.rend());
  }
  ASSERT_GT(greatest[0].first, 1.01 * greatest[1].first);
  const auto scale = static_cast<double>(std::numeric_limits<float>::max()) / std::sqrt(greatest[0].first * greatest[1].first);
  run_threads(2, [&](Communicator& communicator) {
    at::set_num_threads(1);
    const auto model = toy_model(5, kUntied, at::kFloat);
    ParallelOptions options;
    if (GetParam() == "hsdp") options.shard_degree = 2;
    const auto strategy = strategies().at(GetParam()).make({*model, communicator, options, 0});
    const auto batch = batches.micro_batches(0, communicator.rank(), 2, 1).at(0);
    const auto loss = strategy->forward_backward(batch, communicator.rank() == 1 ? scale : 1, true);
    strategy->finish_gradients();
    EXPECT_TRUE(std::isfinite(loss));
    EXPECT_EQ(strategy->fault() ? strategy->fault()->where : "none", communicator.rank() == 1 ? greatest[0].second : "none");
  });
}

/// Has parameters beside its block's: two that it never reads, one of them of another dtype and so alone in its row, and one that only
/// rows of an odd length read.
struct IdleBlock final : Block {
  explicit IdleBlock(std::unique_ptr<Block> block) : inner(std::move(block)) {
    const auto start = [](Parameter& p, at::IntArrayRef shape, at::ScalarType dtype) {
      p = Parameter(shape, std::vector<std::string>(shape.size(), "idle"));
      p.value = at::linspace(-1, 2, p.value.numel(), dtype).view(shape).set_requires_grad(true);
    };
    start(never, {5, 7}, at::kDouble);
    start(alone, {3, 11}, at::kFloat);
    start(sometimes, {24}, at::kDouble);
  }
  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    const auto y_btd = inner->forward(x_btd, ctx);
    return x_btd.size(1) % 2 == 1 ? y_btd * sometimes.value : y_btd;
  }
  void visit(Visitor& v) override {
    v("never", never);
    inner->visit(v);
    v("alone", alone);
    v("sometimes", sometimes);
  }
  std::unique_ptr<Block> inner;
  Parameter never, alone, sometimes;
};

TEST_P(EveryStrategy, GoesOnWhereAParameterGetsNoGradient) {
  Case c{.micro_batch_size = 1, .change = [](CausalLm& model) {
           model.blocks[1] = std::make_unique<IdleBlock>(std::move(model.blocks[1]));
           assign_names(model);
         }};
  const auto alone = course_of(c);
  c.strategy = GetParam();
  c.ranks = 4;
  if (c.strategy == "hsdp") c.options.shard_degree = 2;
  for (const bool each : {true, false}) {
    c.options.reduce_each_micro_batch = each;
    const auto found = course_of(c);
    expect_same(found, alone, kFp64, c.text());
    double decay = 1;
    bool read = false;
    for (std::size_t step = 0; step < kSteps; ++step) {
      decay *= 1 - 0.01 * 0.1;  // learning rate · weight decay
      for (const auto& [name, bound] : {std::pair{"model.layers.1.never", 1e-12}, std::pair{"model.layers.1.alone", 1e-5}}) {
        EXPECT_EQ(found.gradients[step].at(name).count_nonzero().item<std::int64_t>(), 0) << c.text() << " " << name;
        const auto& value = found.parameters[step].at(name);
        EXPECT_TRUE(at::allclose(value, at::linspace(-1, 2, value.numel(), value.scalar_type()) * decay, bound, bound)) << c.text() << " " << name;
      }
      read = read || found.gradients[step].at("model.layers.1.sometimes").count_nonzero().item<std::int64_t>() > 0;
    }
    EXPECT_TRUE(read);
  }
}

// Results lie elsewhere until wait(), outputs hold NaN meanwhile, and operations complete in another order than they were entered in.
TEST_P(EveryStrategy, WaitsForEverythingThatIsLate) {
  for (const auto& method : {"none", "lora"}) {
    const auto alone = course_of({.method = method});
    Case c{.strategy = GetParam(), .ranks = 4, .micro_batch_size = 1, .method = method, .latency = {.latency_s = 1e-4, .jitter_s = 1e-3, .seed = 3}};
    c.options.bucket_bytes = 4096;
    c.options.prefetch = 2;
    if (c.strategy == "hsdp") c.options.shard_degree = 2;
    expect_same(course_of(c), alone, kFp64, c.text());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, EveryStrategy, testing::ValuesIn(strategies().names()), [](const auto& info) { return info.param; });

/// Counts how often a block runs.
struct CountedBlock final : Block {
  CountedBlock(std::unique_ptr<Block> block, int& count) : inner(std::move(block)), runs(count) {}
  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    ++runs;
    return inner->forward(x_btd, ctx);
  }
  void visit(Visitor& v) override { inner->visit(v); }
  std::unique_ptr<Block> inner;
  int& runs;
};

TEST(Recompute, RunsTheBlocksAgainThatTheOptionsName) {
  using testing::ElementsAre;
  const auto examples = toy_examples(2);
  const Batches batches(examples, {.global_batch_size = 2, .max_tokens = 30}, 0);
  for (const auto& strategy_name : {"ddp", "zero3"}) {
    std::vector<Tensor> kept;
    const auto runs_of = [&](const std::vector<std::string>& settings) {
      TrainOptions options;
      load_config(options, {.file = "", .overrides = settings, .folders = {}});
      std::vector<int> runs(5);
      run_threads(2, [&](Communicator& c) {
        at::set_num_threads(1);
        const auto model = toy_model(5, {{"num_hidden_layers", 5}});
        std::vector<int> own(5);
        for (std::size_t i = 0; i < own.size(); ++i) model->blocks[i] = std::make_unique<CountedBlock>(std::move(model->blocks[i]), own[i]);
        const auto strategy = strategies().at(strategy_name).make({*model, c, {}, recomputed_blocks(options)});
        strategy->forward_backward(batches.micro_batches(0, c.rank(), 2, 1).at(0), 1, true);
        strategy->finish_gradients();
        if (c.rank() != 0) return;
        runs = own;
        if (kept.empty())
          for (const auto& slice : strategy->slices()) kept.push_back(slice.grad.clone());
        for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(strategy->slices()[i].grad, kept[i])) << settings[0] << " " << i;
      });
      return runs;
    };
    EXPECT_THAT(runs_of({"activation_checkpointing=none"}), ElementsAre(1, 1, 1, 1, 1));
    EXPECT_THAT(runs_of({"activation_checkpointing=full"}), ElementsAre(2, 2, 2, 2, 2));
    EXPECT_THAT(runs_of({"activation_checkpointing=selective"}), ElementsAre(2, 1, 2, 1, 2));
    EXPECT_THAT(runs_of({"activation_checkpointing=selective", "recompute_every=3"}), ElementsAre(2, 1, 1, 2, 1));
    EXPECT_THAT(runs_of({"activation_checkpointing=selective", "recompute_every=9"}), ElementsAre(2, 1, 1, 1, 1));
  }
}

// Sums run in rank order whatever is cut where: with the same micro-batches not a bit differs. (hsdp sums inside nodes first.)
TEST(Zero, HasTheBitsOfDdp) {
  Case c{.ranks = 3, .dtype = at::kFloat};
  const auto ddp = course_of(c);
  for (const auto& strategy : {"zero1", "zero2", "zero3"}) {
    c.strategy = strategy;
    expect_same(course_of(c), ddp, 0, c.text());
  }
}

}  // namespace
}  // namespace herd::test
