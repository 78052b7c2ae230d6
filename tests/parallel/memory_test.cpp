// What ranks hold between steps, against Rajbhandari et al. 2020, section 3.1, with herd's fp32 gradients (2 bytes more a bf16 parameter).
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <functional>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"

namespace herd::test {
namespace {

// 1.9 million parameters, so that gaps and scalars do not count.
const nlohmann::json kShape{{"vocab_size", 512}, {"hidden_size", 160}, {"intermediate_size", 512}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                            {"num_hidden_layers", 6}, {"tie_word_embeddings", false}};
constexpr double kSlack = 0.01;

struct Held {
  double bytes = 0, frozen = 0, trained = 0;  // of all ranks together; parameters
};

// Two steps, so that nothing is left that only the first one makes.
Held held(const std::string& strategy_name, int ranks, at::ScalarType dtype, const std::string& method = "none", ParallelOptions options = {}) {
  at::set_num_threads(1);
  Held result;
  const auto examples = toy_examples(4 * ranks);
  const CountingAllocator memory;
  run_threads(ranks, [&](Communicator& c) {
    auto model = toy_model(1, kShape, dtype);
    PeftOptions peft{.method = method, .r = 8};
    peft.target_modules = {{"all-linear"}, true};
    attach(*model, peft, 3);
    const auto strategy = strategies().at(strategy_name).make({*model, c, options, 0});
    AdamW optimizer(strategy->slices(), {});
    const Batches batches(examples, {.global_batch_size = 2 * ranks, .max_tokens = 30}, 0);
    for (int step = 0; step < 2; ++step) {
      const auto micro = batches.micro_batches(step, c.rank(), ranks, 1);
      for (std::size_t i = 0; i < micro.size(); ++i) strategy->forward_backward(micro[i], 0.01, i + 1 == micro.size());
      strategy->finish_gradients();
      optimizer.step(1e-3);
      strategy->values_changed();
    }
    c.barrier().wait();
    if (c.rank() == 0) {
      result.bytes = static_cast<double>(memory.live());
      for_each_parameter(*model, [&](const std::string&, Parameter& p) {
        (p.trainable ? result.trained : result.frozen) += static_cast<double>(p.value.numel());
      });
    }
    c.barrier().wait();
  });
  return result;
}

struct Formula {
  std::string strategy;
  std::function<double(double)> bytes;  // a parameter and rank, by the number of ranks that share
};

void expect_bytes(const std::vector<Formula>& formulas, at::ScalarType dtype, ParallelOptions options = {}) {
  for (const auto& [strategy, bytes] : formulas)
    for (const int ranks : {1, 2, 4}) {
      const auto found = held(strategy, ranks, dtype, "none", options);
      const auto expected = ranks * bytes(ranks) * found.trained;
      EXPECT_NEAR(found.bytes, expected, kSlack * expected) << strategy << " on " << ranks;
    }
}

TEST(ModelStates, Bf16) {
  expect_bytes({{"ddp", [](double) { return 2 + 4 + 12; }},
                {"zero1", [](double n) { return 2 + 4 + 12 / n; }},
                {"zero2", [](double n) { return 2 + 16 / n; }},
                {"zero3", [](double n) { return 18 / n; }}},
               at::kBFloat16);
}

// fp32 parameters are their own masters.
TEST(ModelStates, Fp32) {
  expect_bytes({{"ddp", [](double) { return 16; }},
                {"zero1", [](double n) { return 4 + 4 + 8 / n; }},
                {"zero2", [](double n) { return 4 + 12 / n; }},
                {"zero3", [](double n) { return 16 / n; }}},
               at::kFloat);
}

TEST(ModelStates, ReducingOnlyWithTheLastMicroBatchKeepsGradientsWhole) {
  expect_bytes({{"zero2", [](double n) { return 4 + 4 + 8 / n; }}, {"zero3", [](double n) { return 12 / n + 4; }}}, at::kFloat,
               {.reduce_each_micro_batch = false});
}

TEST(ModelStates, HsdpIsAsManyCopiesAsThereAreNodes) {
  const auto found = held("hsdp", 4, at::kBFloat16, "none", {.shard_degree = 2});
  EXPECT_NEAR(found.bytes, 2 * 18 * found.trained, kSlack * 2 * 18 * found.trained);
}

// The frozen base: whole on every rank, or in parts; no gradient, no optimizer state.
TEST(ModelStates, Lora) {
  const std::vector<std::pair<std::string, std::function<double(double, double, double)>>> formulas{
      {"ddp", [](double n, double frozen, double trained) { return n * (2 * frozen + 16 * trained); }},
      {"zero1", [](double n, double frozen, double trained) { return n * 2 * frozen + n * 8 * trained + 8 * trained; }},
      {"zero3", [](double, double frozen, double trained) { return 2 * frozen + 16 * trained; }}};
  for (const auto& [strategy, bytes] : formulas)
    for (const int ranks : {1, 2, 4}) {
      const auto found = held(strategy, ranks, at::kBFloat16, "lora");
      const auto expected = bytes(ranks, found.frozen, found.trained);
      EXPECT_NEAR(found.bytes, expected, 2 * kSlack * expected) << strategy << " on " << ranks;  // adapters of r 8 leave gaps
    }
}

}  // namespace
}  // namespace herd::test
