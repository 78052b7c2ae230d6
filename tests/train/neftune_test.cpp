// NEFTune: what noise there is, where, and that it depends on nothing but seed, step and row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "peft/registry.h"
#include "runtime/nn/embedding_noise.h"
#include "tests/support/errors.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/toy_model.h"
#include "train/train_options.h"

namespace herd::test {
namespace {

constexpr double kAlpha = 5;

Tensor noise(const Batch& batch, std::int64_t d, const RandomKeys& keys) {
  return with_embedding_noise(at::zeros({batch.rows(), batch.length(), d}), batch, keys);
}

RandomKeys keys_of(const Batch& batch, std::int64_t step = 0, std::uint64_t seed = 1) {
  return {.training = true, .seed = seed, .step = step, .row_ids = batch.row_ids, .neftune_alpha = kAlpha};
}

std::vector<std::int64_t> ids(std::int64_t n) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(1 + i % (kToyVocab - 1));
  return out;
}

TEST(Neftune, IsUniformWithinTheBoundOfEachRecord) {
  constexpr std::int64_t kWidth = 50;
  const auto batch = plain_batch({ids(400), ids(25)});
  const auto all = noise(batch, kWidth, keys_of(batch));
  for (const auto& segment : batch.segments) {
    const auto n = segment.length();
    const auto bound = kAlpha / std::sqrt(static_cast<double>(n * kWidth));
    const auto share = (all[segment.row].narrow(0, 0, n) / bound).flatten().to(at::kDouble);
    const auto count = static_cast<double>(share.numel()), five_sigma = 5 / std::sqrt(count);
    EXPECT_LE(share.abs().max().item<double>(), 1 + 1e-6);
    EXPECT_GT(share.max().item<double>(), 0.99);
    EXPECT_LT(share.min().item<double>(), -0.99);
    EXPECT_NEAR(share.mean().item<double>(), 0, five_sigma * std::sqrt(1.0 / 3));
    EXPECT_NEAR(share.square().mean().item<double>(), 1.0 / 3, five_sigma * std::sqrt(4.0 / 45));
    const auto bins = at::histc(share, 10, -1, 1) / count;
    EXPECT_LT((bins - 0.1).abs().max().item<double>(), five_sigma * 0.3);
    const auto beside = (share.narrow(0, 0, share.numel() - 1) * share.narrow(0, 1, share.numel() - 1)).mean().item<double>();
    EXPECT_NEAR(beside, 0, five_sigma / 3) << "neighbours";
    EXPECT_TRUE(all[segment.row].narrow(0, n, batch.length() - n).eq(0).all().item<bool>()) << "padding";
  }
}

TEST(Neftune, APackedRecordHasItsOwnLength) {
  auto batch = plain_batch({ids(30)});
  batch.segments = {{0, 0, 6}, {0, 6, 30}};
  const auto all = noise(batch, 24, keys_of(batch));
  const auto short_bound = kAlpha / std::sqrt(6.0 * 24), long_bound = kAlpha / std::sqrt(24.0 * 24);
  const auto greatest = [&](std::int64_t begin, std::int64_t n) { return all[0].narrow(0, begin, n).abs().max().item<double>(); };
  EXPECT_LE(greatest(0, 6), short_bound * (1 + 1e-6));
  EXPECT_GT(greatest(0, 6), long_bound);
  EXPECT_LE(greatest(6, 24), long_bound * (1 + 1e-6));
  EXPECT_GT(greatest(6, 24), 0.95 * long_bound);
}

TEST(Neftune, DependsOnSeedStepAndRowAlone) {
  const auto batch = plain_batch({ids(7), ids(12), ids(5)});
  const auto all = noise(batch, 26, keys_of(batch));  // a token's numbers begin in the middle of four
  EXPECT_TRUE(at::equal(noise(batch, 26, keys_of(batch)), all));
  auto alone = plain_batch({ids(5)});
  alone.row_ids = {2};
  EXPECT_TRUE(at::equal(noise(alone, 26, keys_of(alone))[0], all[2].narrow(0, 0, 5))) << "other rows beside it, and more padding";
  const auto differs = [&](const Tensor& other) { return other.ne(all).to(at::kFloat).mean().item<double>(); };
  const auto tokens = 24.0 / 36;
  EXPECT_GT(differs(noise(batch, 26, keys_of(batch, 1))), 0.99 * tokens);
  EXPECT_GT(differs(noise(batch, 26, keys_of(batch, 0, 2))), 0.99 * tokens);
  const auto as_long = all[2].narrow(0, 0, 5) * std::sqrt(5.0 / 7);
  EXPECT_GT((all[0].narrow(0, 0, 5) - as_long).abs().mean().item<double>(), 0.3 * as_long.abs().mean().item<double>()) << "rows draw apart";
  auto keys = keys_of(batch);
  keys.row_ids.pop_back();
  EXPECT_THAT(message_of<ShapeError>([&] { noise(batch, 26, keys); }), testing::AllOf(testing::HasSubstr("neftune_alpha"), testing::HasSubstr("3 rows")));
}

TEST(Neftune, RoundsOnceInLowPrecision) {
  const auto batch = plain_batch({ids(9)});
  const auto x = at::full({1, 9, 24}, 0.3, at::kBFloat16);
  const auto found = with_embedding_noise(x, batch, keys_of(batch));
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(found, (x.to(at::kFloat) + noise(batch, 24, keys_of(batch))).to(at::kBFloat16)));
}

std::unique_ptr<CausalLm> small(const std::string& family) {
  ModelOptions options{.family = family};
  options.config = shape_of_family(family, {.hidden_size = 32, .intermediate_size = 40, .num_hidden_layers = 2, .num_attention_heads = 4,
                                            .num_key_value_heads = 2, .max_position_embeddings = 64, .initializer_range = 0.2});
  auto model = make_model(hub_config(options, kToyVocab));
  materialise(*model, at::kFloat);
  initialise(*model, 3);
  return model;
}

// The model's own look-up under noise, and the embeddings moved by hand before all that follows: positions, norms, blocks.
TEST(Neftune, MovesTheEmbeddingsOfEveryFamilyInTrainingAlone) {
  for (const auto& family : families().names()) {
    const auto model = small(family);
    auto batch = plain_batch({ids(9), ids(6)});
    batch.labels_bt = batch.tokens_bt.clone();
    const at::NoGradGuard no_grad;
    const auto embedded = [&] { return model->embed(batch, batch, {}); };
    *model->random = keys_of(batch);
    model->random->neftune_alpha = 0;
    const auto plain = embedded(), logits = model->logits(batch);
    const auto quiet = Pass(*model).forward_loss(batch).sum;
    model->random->neftune_alpha = kAlpha;
    EXPECT_TRUE(at::equal(embedded(), model->enter(with_embedding_noise(model->look_up(batch.tokens_bt), batch, *model->random), batch))) << family;
    EXPECT_FALSE(at::equal(embedded(), plain)) << family;
    EXPECT_NE(Pass(*model).forward_loss(batch).sum, quiet) << family;
    model->random->training = false;
    EXPECT_TRUE(at::equal(embedded(), plain)) << family;
    EXPECT_TRUE(at::equal(model->logits(batch), logits)) << family;
    EXPECT_EQ(Pass(*model).forward_loss(batch).sum, quiet) << family;
  }
}

TEST(Neftune, LeavesVirtualTokensAlone) {
  const auto model = toy_model();
  attach(*model, {.method = "prompt", .num_virtual_tokens = 3}, 1);
  const auto batch = plain_batch({ids(5)});
  const at::NoGradGuard no_grad;
  const auto leaves = model->side_leaves(false);
  const auto seen = model->beside(batch);
  const auto plain = model->embed(batch, seen, leaves);
  *model->random = keys_of(batch);
  const auto moved = model->embed(batch, seen, leaves) - plain;
  EXPECT_TRUE(moved[0].narrow(0, 0, 3).eq(0).all().item<bool>());
  EXPECT_LT((moved[0].narrow(0, 3, 5) - noise(batch, 24, *model->random)[0]).abs().max().item<double>(), 1e-6);
}

// One step's gradients with every method that sees noise differently, on any ranks, in any micro-batches and parts, recomputed or not.
TEST(Neftune, GivesTheSameGradientsHoweverTheWorkIsSpread) {
  const auto examples = toy_examples(7);
  for (const std::string method : {"none", "lora", "prompt"}) {
    const auto gradients = [&](double alpha, const std::string& strategy_name, int ranks, std::int64_t micro_batch, std::int64_t recompute_every, bool packing) {
      std::map<std::string, Tensor> out;
      std::mutex mutex;
      run_threads(ranks, [&](Communicator& c) {
        const auto model = toy_model();
        PeftOptions o{.method = method};
        if (method == "lora") o.init = AdapterInit::kRandom;
        attach(*model, o, 5);
        const auto strategy = strategies().at(strategy_name).make({*model, c, {}, recompute_every});
        const Batches batches(examples, {.global_batch_size = 7, .max_tokens = 30, .packing = packing, .seed = 4}, 0);
        const auto mine = batches.micro_batches(0, c.rank(), ranks, micro_batch);
        for (std::size_t i = 0; i < mine.size(); ++i) {
          *model->random = keys_of(mine[i]);
          model->random->neftune_alpha = alpha;
          strategy->forward_backward(mine[i], 0.01, i + 1 == mine.size());
        }
        strategy->finish_gradients();
        const std::lock_guard guard(mutex);
        for (const auto& slice : strategy->slices()) {
          auto& whole = out.try_emplace(slice.parameter->name, at::zeros({slice.parameter->value.numel()}, slice.grad.options())).first->second;
          whole.narrow(0, slice.begin, slice.end - slice.begin).copy_(slice.grad);
        }
      });
      return out;
    };
    const auto apart = [](const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
      double most = 0;
      for (const auto& [name, x] : a) most = std::max(most, (b.at(name) - x).abs().max().item<double>() / (1e-3 + x.abs().max().item<double>()));
      return most;
    };
    for (const bool packing : {false, true}) {
      const auto alone = gradients(kAlpha, "ddp", 1, 7, 0, packing);
      EXPECT_EQ(apart(alone, gradients(kAlpha, "ddp", 1, 7, 1, packing)), 0) << method << ", recomputed";
      EXPECT_LT(apart(alone, gradients(kAlpha, "ddp", 2, 2, 0, packing)), 1e-5) << method << ", 2 ranks";
      EXPECT_LT(apart(alone, gradients(kAlpha, "zero3", 3, 1, 1, packing)), 1e-5) << method << ", 3 ranks in parts";
      EXPECT_GT(apart(alone, gradients(0, "ddp", 1, 7, 0, packing)), 1e-2) << method << ": there was no noise";
    }
  }
}

TEST(Neftune, OfANegativeAlphaIsRefused) {
  TrainOptions options;
  Schema schema;
  describe(schema, options);
  const auto load = [&](const std::string& text) { schema.load(parse_yaml(text, Origin{.source = "a.yaml"})); };
  EXPECT_THAT(message_of<ConfigError>([&] { load("neftune_alpha: -1"); }), testing::AllOf(testing::HasSubstr("neftune_alpha"), testing::HasSubstr("at least 0")));
  EXPECT_THAT(message_of<ConfigError>([&] { load("neftune_noise_alpha: 5"); }), testing::HasSubstr("neftune_alpha"));
  load("neftune_alpha: 5");
  EXPECT_EQ(options.neftune_alpha, 5);
}

}  // namespace
}  // namespace herd::test
