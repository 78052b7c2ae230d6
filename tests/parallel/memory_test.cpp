// What ranks hold between steps, against Rajbhandari et al. 2020, section 3.1, with herd's fp32 gradients (2 bytes more a bf16 parameter);
// and how many blocks of others they hold inside one.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/toy_model.h"
#include "tests/support/watched.h"
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

// Flat rows that operations have been given and that have memory still: known by their storage, so the strategies' own count is not asked.
class Rows {
 public:
  void add(const Tensor& row) {
    const auto* storage = row.storage().unsafeGetStorageImpl();
    for (const auto& known : rows_)
      if (known._unsafe_get_target() == storage) return;
    rows_.push_back(row.storage().getWeakStorageImpl());
  }
  std::vector<std::int64_t> bytes() const {
    std::vector<std::int64_t> all;
    for (const auto& row : rows_) {
      const auto storage = row.lock();
      if (storage && storage->nbytes() > 0) all.push_back(static_cast<std::int64_t>(storage->nbytes()));
    }
    return all;
  }
  std::int64_t sum() const {
    const auto all = bytes();
    return std::accumulate(all.begin(), all.end(), std::int64_t{0});
  }

 private:
  std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> rows_;
};

/// Says when a block runs.
struct WatchedBlock final : Block {
  WatchedBlock(std::unique_ptr<Block> block, std::function<void()> look) : inner(std::move(block)), running(std::move(look)) {}
  Tensor forward(const Tensor& x_btd, const Context& ctx) override {
    running();
    return inner->forward(x_btd, ctx);
  }
  void visit(Visitor& v) override { inner->visit(v); }
  std::unique_ptr<Block> inner;
  std::function<void()> running;
};

struct Setting {
  std::string strategy = "zero3", method = "none";
  int ranks = 2;
  bool tied = false;
  ParallelOptions options;

  std::string text() const {
    return strategy + " " + method + ", prefetch " + std::to_string(options.prefetch) + (options.overlap ? "" : ", no overlap") + (tied ? ", tied" : "");
  }
};

struct UnderWay {
  std::size_t parameters = 0, gradients = 0;  // rows of rank 0 at a time, at most
};

// Two micro-batches with gradients, then one without, of a model of 8 blocks; blocks run again in the backward, so that they look there too.
UnderWay most_under_way(const Setting& s) {
  at::set_num_threads(1);
  UnderWay most;
  const auto examples = toy_examples(2 * s.ranks);
  run_threads(s.ranks, [&](Communicator& direct) {
    const bool first = direct.rank() == 0;
    Rows gathered, leaving;
    const auto note = [&] {
      if (!first) return;
      most.parameters = std::max(most.parameters, gathered.bytes().size());
      most.gradients = std::max(most.gradients, leaving.bytes().size());
    };
    Watched c(direct, [&](const Operation& o) {
      if (o.kind == CommKind::kAllGather) gathered.add(o.output);
      if (o.kind == CommKind::kReduceScatter) leaving.add(o.input);
      note();
    });
    std::unique_ptr<Strategy> strategy;
    Resident at_rest;
    bool no_sums_yet = true;  // of micro-batches: afterwards a part that arrives takes memory of its own
    const auto running = [&] {
      note();
      const auto now = strategy->resident();
      EXPECT_EQ(now.parameters - at_rest.parameters, gathered.sum()) << s.text();
      if (no_sums_yet) { EXPECT_EQ(now.gradients - at_rest.gradients, leaving.sum()) << s.text(); }
    };
    const auto model = toy_model(5, {{"num_hidden_layers", 8}, {"tie_word_embeddings", s.tied}});
    PeftOptions peft{.method = s.method, .r = 3};
    attach(*model, peft, 3);
    for (auto& block : model->blocks) block = std::make_unique<WatchedBlock>(std::move(block), running);
    strategy = strategies().at(s.strategy).make({*model, c, s.options, 1});
    at_rest = strategy->resident();
    const Batches batches(examples, {.global_batch_size = 2 * s.ranks, .max_tokens = 30}, 0);
    const auto micro = batches.micro_batches(0, c.rank(), s.ranks, 1);
    ASSERT_EQ(micro.size(), 2u);
    strategy->forward_backward(micro[0], 0.01, false);
    no_sums_yet = false;
    strategy->forward_backward(micro[1], 0.01, true);
    strategy->finish_gradients();
    EXPECT_EQ(leaving.sum(), 0) << s.text();
    no_sums_yet = true;
    strategy->forward_loss(micro[0]);
    EXPECT_EQ(gathered.sum(), 0) << s.text();
  });
  return most;
}

// The running unit and as many as are gathered ahead; with a tied head, which reads the embedding, that one's row on top. A block has a
// row, and one more where a part of it is frozen.
void expect_units(Setting s, std::size_t units) {
  for (const bool tied : {false, true}) {
    s.tied = tied;
    s.method = "none";
    EXPECT_EQ(most_under_way(s).parameters, units + tied) << s.text();
    s.method = "lora";
    EXPECT_EQ(most_under_way(s).parameters, 2 * units) << s.text();
  }
}

TEST(WhileAStepRuns, OnlyTheUnitsAskedForAreWhole) {
  for (const std::int64_t prefetch : {0, 1, 3}) expect_units({.options = {.prefetch = prefetch}}, static_cast<std::size_t>(prefetch) + 1);
  expect_units({.options = {.overlap = false, .prefetch = 3}}, 1);
  expect_units({.strategy = "hsdp", .ranks = 4, .options = {.prefetch = 1, .shard_degree = 2}}, 2);
}

// Two rows on their way beside the one that is being filled, however many blocks there are.
TEST(WhileAStepRuns, FewGradientsAreUnderWay) {
  for (const auto& [strategy, ranks] : {std::pair{"zero2", 2}, std::pair{"zero3", 2}, std::pair{"hsdp", 4}})
    for (const auto& method : {"none", "lora"})
      for (const bool overlap : {true, false}) {
        const Setting s{.strategy = strategy, .method = method, .ranks = ranks, .options = {.bucket_bytes = 1, .overlap = overlap, .shard_degree = 2}};
        EXPECT_EQ(most_under_way(s).gradients, overlap ? 3u : 1u) << s.text();
      }
}

}  // namespace
}  // namespace herd::test
