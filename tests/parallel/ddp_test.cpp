#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "runtime/nn/autograd.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

constexpr std::int64_t kRows = 7;

Batches toy_batches(const std::vector<Example>& examples, bool packing = false) {
  return Batches(examples, {.global_batch_size = kRows, .max_tokens = 30, .packing = packing}, 0);
}

std::map<std::string, Tensor> gradients(CausalLm& model) {
  std::map<std::string, Tensor> result;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) {
    if (p.trainable) result[name] = p.value.grad().clone();
  });
  return result;
}

// The whole graph at once, all logits, PyTorch's own cross-entropy: nothing shared with the pass but the layers.
std::map<std::string, Tensor> whole_graph_gradients(CausalLm& model, const Batch& batch, double scale) {
  const auto logits = model.logits(batch);
  const auto t = batch.length();
  const auto loss = at::cross_entropy_loss(logits.narrow(1, 0, t - 1).reshape({-1, kToyVocab}), batch.labels_bt.narrow(1, 1, t - 1).reshape(-1), {},
                                           at::Reduction::Sum);
  backward(loss, at::scalar_tensor(scale, loss.options()));
  return gradients(model);
}

using Freeze = std::function<bool(const std::string&)>;

void freeze(CausalLm& model, const Freeze& frozen) {
  for_each_parameter(model, [&](const std::string& name, Parameter& p) { p.set_trainable(!frozen(name)); });
}

struct PassCase {
  std::string name;
  nlohmann::json changes;
  Freeze frozen;
};

class BlockByBlock : public testing::TestWithParam<PassCase> {};

TEST_P(BlockByBlock, GivesTheWholeGraphsGradients) {
  const auto examples = toy_examples(kRows);
  const auto batch = toy_batches(examples).micro_batches(0, 0, 1, kRows).at(0);
  for (const bool recompute : {false, true}) {
    const auto model = toy_model(3, GetParam().changes), oracle = toy_model(3, GetParam().changes);
    freeze(*model, GetParam().frozen);
    freeze(*oracle, GetParam().frozen);
    struct Listener final : PassListener {
      void enter(Unit unit, Phase) override { entered.push_back(unit); }
      void leave(Unit unit, Phase phase) override {
        if (phase == Phase::kBackward) done.push_back(unit);
      }
      std::vector<Unit> entered, done;
    } listener;
    Pass pass(*model, recompute, &listener);
    const auto loss = pass.forward_backward(batch, 0.01);
    const auto expected = whole_graph_gradients(*oracle, batch, 0.01);
    EXPECT_THAT(listener.done, testing::ElementsAre(0, 1, 2, 3));
    EXPECT_EQ(listener.entered, pass.training_walk());
    EXPECT_EQ(loss.tokens, batch.supervised_tokens);
    const auto actual = gradients(*model);
    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [name, grad] : expected)
      EXPECT_LT((actual.at(name) - grad).abs().max().item<float>(), 1e-6 * (1 + grad.abs().max().item<float>())) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BlockByBlock,
    testing::Values(PassCase{"Everything", {}, [](const std::string&) { return false; }},
                    PassCase{"UntiedHead", {{"tie_word_embeddings", false}}, [](const std::string&) { return false; }},
                    PassCase{"OneLinearOfTheLastBlock", {}, [](const std::string& n) { return n != "model.layers.1.self_attn.q_proj.weight"; }},
                    PassCase{"OneLinearOfTheFirstBlock", {}, [](const std::string& n) { return n != "model.layers.0.mlp.up_proj.weight"; }},
                    PassCase{"NormsAlone", {}, [](const std::string& n) { return n.find("norm") == std::string::npos; }}),
    [](const auto& info) { return info.param.name; });

TEST(Pass, LossIsTheSumOverSupervisedTokens) {
  const auto examples = toy_examples(kRows);
  const auto model = toy_model(3);
  const auto batch = toy_batches(examples).micro_batches(0, 0, 1, kRows).at(0);
  const auto logits = model->logits(batch);
  const auto t = batch.length();
  const auto expected = at::cross_entropy_loss(logits.narrow(1, 0, t - 1).reshape({-1, kToyVocab}),
                                               batch.labels_bt.narrow(1, 1, t - 1).reshape(-1), {}, at::Reduction::Sum);
  EXPECT_NEAR(forward_loss(*model, batch).sum, expected.item<double>(), 1e-4);
}

// One step's gradient by `ranks` ranks, as rank 0 ends up with it.
struct Spread {
  int ranks = 1;
  std::int64_t micro_batch_size = 2;
  std::int64_t bucket_bytes = 4096;
  bool packing = false;
};

std::vector<Tensor> spread_gradients(const Spread& s) {
  const auto examples = toy_examples(40);
  const auto batches = toy_batches(examples, s.packing);
  std::vector<std::vector<Tensor>> of_rank(static_cast<std::size_t>(s.ranks));
  std::vector<double> losses(static_cast<std::size_t>(s.ranks)), norms = losses;
  run_threads(s.ranks, [&](Communicator& c) {
    const auto model = toy_model(5);
    const auto strategy = strategies().at("ddp").make({*model, c, {.bucket_bytes = s.bucket_bytes}, 0});
    const auto me = static_cast<std::size_t>(c.rank());
    for (const int step : {0, 1}) {  // the second step must not see the first one's gradients
      const auto micro = batches.micro_batches(step, c.rank(), c.size(), s.micro_batch_size);
      const auto tokens = static_cast<double>(batches.rows(step).supervised_tokens);
      losses[me] = 0;
      for (std::size_t i = 0; i < micro.size(); ++i) losses[me] += strategy->forward_backward(micro[i], 1 / tokens, i + 1 == micro.size());
      strategy->finish_gradients();
      EXPECT_FALSE(strategy->fault());
    }
    norms[me] = strategy->gradient_norm();
    for (const auto& slice : strategy->slices()) of_rank[me].push_back(slice.grad.clone());
  });
  for (std::size_t rank = 1; rank < of_rank.size(); ++rank) {
    for (std::size_t i = 0; i < of_rank[0].size(); ++i) EXPECT_TRUE(at::equal(of_rank[rank][i], of_rank[0][i])) << "rank " << rank;
    EXPECT_EQ(norms[rank], norms[0]);
  }
  auto result = of_rank[0];
  result.push_back(at::scalar_tensor(std::accumulate(losses.begin(), losses.end(), 0.0), at::kDouble));
  result.push_back(at::scalar_tensor(norms[0], at::kDouble));
  return result;
}

void expect_close(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_LT((actual[i] - expected[i]).abs().max().item<double>(), 2e-6 * (1 + expected[i].abs().max().item<double>())) << "slice " << i;
}

TEST(Ddp, AnyNumberOfRanksGivesOneRanksGradient) {
  const auto alone = spread_gradients({.ranks = 1, .micro_batch_size = kRows});
  for (const int ranks : {2, 3, 4, 7, 9}) expect_close(spread_gradients({.ranks = ranks}), alone);
}

TEST(Ddp, PackedRowsTheSame) {
  const auto alone = spread_gradients({.ranks = 1, .micro_batch_size = kRows, .packing = true});
  expect_close(spread_gradients({.ranks = 3, .packing = true}), alone);
}

TEST(Ddp, AccumulationIsOneBigBatch) {
  expect_close(spread_gradients({.micro_batch_size = 1}), spread_gradients({.micro_batch_size = kRows}));
}

TEST(Ddp, BucketSizeChangesNoBit) {
  const auto small = spread_gradients({.ranks = 3, .bucket_bytes = 1024}), large = spread_gradients({.ranks = 3, .bucket_bytes = 1 << 30});
  for (std::size_t i = 0; i < small.size(); ++i) EXPECT_TRUE(at::equal(small[i], large[i])) << i;
}

TEST(Ddp, NormIsThatOfAllGradientsTogether) {
  const auto all = spread_gradients({.ranks = 2});
  double squares = 0;
  for (std::size_t i = 0; i + 2 < all.size(); ++i) squares += all[i].to(at::kDouble).square().sum().item<double>();
  EXPECT_NEAR(all.back().item<double>(), std::sqrt(squares), 1e-6 * std::sqrt(squares));
}

TEST(Ddp, NamesTheParameterThatIsNotFiniteOnThisRankAlone) {
  const auto examples = toy_examples(40);
  const auto batches = toy_batches(examples);
  run_threads(2, [&](Communicator& c) {
    const auto model = toy_model(5);
    // A weight so large that the backward overflows, on rank 1 alone.
    if (c.rank() == 1) {
      for_each_parameter(*model, [](const std::string& name, Parameter& p) {
        if (name == "model.layers.0.mlp.down_proj.weight") p.value.detach().view(-1)[0] = std::numeric_limits<float>::infinity();
      });
    }
    const auto strategy = strategies().at("ddp").make({*model, c, {}, 0});
    strategy->forward_backward(batches.micro_batches(0, c.rank(), 2, kRows).at(0), 1.0, true);
    strategy->finish_gradients();
    EXPECT_EQ(strategy->fault().has_value(), c.rank() == 1);
    if (strategy->fault()) { EXPECT_EQ(strategy->fault()->where, "the loss"); }
  });
}

}  // namespace
}  // namespace herd::test
