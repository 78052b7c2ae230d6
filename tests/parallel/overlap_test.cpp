// How much of a slow network stays visible. Blocks sleep instead of computing, so that the machine's load does not count.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include <chrono>
#include <thread>

#include "data/batches.h"
#include "parallel/comm/latency.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kForward{20}, kBackward{40};
constexpr double kDelay = 0.01;  // half a block's forward

struct SleepBackward : torch::autograd::Function<SleepBackward> {
  static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x) { return x.clone(); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list grads) {
    std::this_thread::sleep_for(kBackward);
    return grads;
  }
};

struct SleepyBlock final : Block {
  explicit SleepyBlock(std::unique_ptr<Block> block) : inner(std::move(block)) {}
  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    std::this_thread::sleep_for(kForward);
    return SleepBackward::apply(inner->forward(x_btd, ctx));
  }
  void visit(Visitor& v) override { inner->visit(v); }
  std::unique_ptr<Block> inner;
};

struct Measured {
  double seconds = 1e9;      // of the fastest step
  std::uint64_t operations;  // of one rank in a step
};

Measured measure(const std::string& strategy_name, bool overlap, double delay) {
  at::set_num_threads(1);
  Measured result;
  const auto examples = toy_examples(2);
  run_threads(2, [&](Communicator& direct) {
    LatencyCommunicator c(direct, {.latency_s = delay});
    const auto model = toy_model(5, {{"num_hidden_layers", 8}, {"tie_word_embeddings", false}});
    for (auto& block : model->blocks) block = std::make_unique<SleepyBlock>(std::move(block));
    const auto strategy = strategies().at(strategy_name).make({*model, c, {.bucket_bytes = 1024, .overlap = overlap}, 0});
    const Batches batches(examples, {.global_batch_size = 2, .max_tokens = 30}, 0);
    const auto batch = batches.micro_batches(0, c.rank(), 2, 1).at(0);
    for (int step = 0; step < 5; ++step) {
      c.barrier().wait();
      const auto calls = c.stats().calls();
      const auto began = steady_clock::now();
      strategy->forward_backward(batch, 1, true);
      strategy->finish_gradients();
      if (c.rank() != 0) continue;
      result.seconds = std::min(result.seconds, duration<double>(steady_clock::now() - began).count());
      result.operations = c.stats().calls() - calls;
    }
  });
  return result;
}

class Overlap : public testing::TestWithParam<std::string> {};

TEST_P(Overlap, HidesWhatComputationCanHide) {
  for (const bool overlap : {true, false}) {
    const auto quick = measure(GetParam(), overlap, 1e-6), slow = measure(GetParam(), overlap, kDelay);
    ASSERT_GE(slow.operations, 10u);
    const auto exposed = (slow.seconds - quick.seconds) / (kDelay * static_cast<double>(slow.operations));
    RecordProperty(overlap ? "exposed" : "exposed_without_overlap", std::to_string(exposed));
    if (overlap) EXPECT_LE(exposed, 0.2);
    else EXPECT_GE(exposed, 0.8);
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, Overlap, testing::Values("ddp", "zero2", "zero3"), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace herd::test
