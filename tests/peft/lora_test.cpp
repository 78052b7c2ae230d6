#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "parallel/pass.h"
#include "peft/dropout.h"
#include "peft/low_rank.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "runtime/nn/autograd.h"
#include "tests/support/errors.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PeftOptions lora(const std::vector<std::string>& targets = {"q_proj", "v_proj"}) {
  PeftOptions o{.method = "lora", .r = 4, .alpha = 8};
  o.target_modules = {targets, false};
  return o;
}

std::vector<std::string> trained_names(CausalLm& model) {
  std::vector<std::string> names;
  for (const auto* p : trained_parameters(model)) names.push_back(p->name);
  return names;
}

Parameter& trained(CausalLm& model, const std::string& name) {
  for (auto* p : trained_parameters(model))
    if (p->name == name) return *p;
  throw std::runtime_error("no trained " + name);
}

Batch toy_batch() {
  auto batch = plain_batch({{3, 1, 4, 1, 5, 9, 2, 6}, {2, 7, 1, 8, 2, 8}, {1, 4, 1, 4, 2, 1, 3}});
  batch.labels_bt = batch.tokens_bt.clone();
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto length = batch.segments[static_cast<std::size_t>(row)].length();
    batch.labels_bt[row][0] = kIgnoreLabel;
    batch.labels_bt[row].narrow(0, length, batch.length() - length).fill_(kIgnoreLabel);
  }
  batch.supervised_tokens = batch.labels_bt.ne(kIgnoreLabel).sum().item<std::int64_t>();
  return batch;
}

// y = x·Wᵀ + s·(mask(x)·Aᵀ)·Bᵀ in PyTorch's own operations, all in fp64.
struct Update {
  Tensor x = at::randn({3, 5, 6}, at::kDouble), w = at::randn({7, 6}, at::kDouble), a = at::randn({2, 6}, at::kDouble),
         b = at::randn({7, 2}, at::kDouble);
  Tensor kept = at::rand({3, 5, 6}).gt(0.3), grad = at::randn({3, 5, 7}, at::kDouble);
  double s = 0.75, scale = 1 / 0.7;

  Tensor plain(bool with_mask) const { return at::linear(x, w) + s * at::linear(at::linear(with_mask ? x * kept * scale : x, a), b); }
};

Linear dense_linear(const Tensor& w) {
  Linear linear(w.size(1), w.size(0), false, "out", "in");
  linear.weight().value = w.clone();
  linear.weight().set_trainable(false);
  return linear;
}

TEST(LowRank, ForwardAndGradientsAreThePlainFormulas) {
  at::manual_seed(1);
  for (const bool with_mask : {false, true}) {
    Update expected, actual;
    actual.x = expected.x.clone(), actual.w = expected.w, actual.a = expected.a.clone(), actual.b = expected.b.clone(),
    actual.kept = expected.kept, actual.grad = expected.grad;
    for (auto* u : {&expected, &actual})
      for (auto* t : {&u->x, &u->a, &u->b}) t->set_requires_grad(true);
    auto linear = dense_linear(expected.w);
    const auto mask = with_mask ? std::optional(InputMask{actual.kept, actual.scale}) : std::nullopt;
    const auto y = low_rank_linear(linear.storage(), actual.x, actual.a, actual.b, actual.s, mask), y_plain = expected.plain(with_mask);
    EXPECT_TRUE(at::allclose(y, y_plain, 1e-12, 1e-12));
    backward(y, actual.grad);
    backward(y_plain, expected.grad);
    EXPECT_TRUE(at::allclose(actual.x.grad(), expected.x.grad(), 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(actual.a.grad(), expected.a.grad(), 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(actual.b.grad(), expected.b.grad(), 1e-12, 1e-12));
    EXPECT_FALSE(linear.weight().value.grad().defined());
  }
}

// bf16: each of x·Wᵀ, x·Aᵀ and the sum is rounded once to 8 bits, A and B too: some 2^-9 each of the greatest result.
TEST(LowRank, RunsInTheBasesFormatWithWideFactors) {
  at::manual_seed(2);
  Update u;
  auto linear = dense_linear(u.w.to(at::kBFloat16));
  const auto x = u.x.to(at::kBFloat16).set_requires_grad(true), a = u.a.to(at::kFloat).set_requires_grad(true),
             b = u.b.to(at::kFloat).set_requires_grad(true);
  const auto y = low_rank_linear(linear.storage(), x, a, b, u.s, std::nullopt);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT((y.to(at::kDouble) - u.plain(false)).abs().max().item<double>(), 5 * 0x1p-9 * u.plain(false).abs().max().item<double>());
  backward(y, u.grad.to(at::kBFloat16));
  EXPECT_EQ(a.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(b.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
}

TEST(Lora, GradientsAreTheLosssSlopes) {
  for (const double dropout : {0.0, 0.25}) {
    auto options = lora({"q_proj", "v_proj", "down_proj"});
    options.init = AdapterInit::kRandom;
    options.dropout = dropout;
    options.use_rslora = true;
    const auto model = toy_model(3, {}, at::kDouble);
    attach(*model, options, 5);
    const auto batch = toy_batch();
    *model->random = {.training = true, .seed = 9, .step = 4, .row_ids = {0, 1, 2}};
    Pass{*model, false, {}}.forward_backward(batch, 1);
    constexpr double kStep = 1e-5;
    for (auto* p : trained_parameters(*model)) {
      EXPECT_EQ(p->value.scalar_type(), at::kDouble);
      for (const auto i : {std::int64_t{0}, p->value.numel() / 2, p->value.numel() - 1}) {
        auto* element = p->value.data_ptr<double>() + i;
        const double before = *element;
        *element = before + kStep;
        const double above = forward_loss(*model, batch).sum;
        *element = before - kStep;
        const double below = forward_loss(*model, batch).sum;
        *element = before;
        const double slope = (above - below) / (2 * kStep);
        EXPECT_NEAR(p->value.grad().flatten()[i].item<double>(), slope, 1e-6 * (1 + std::abs(slope)))
            << p->name << "[" << i << "], dropout " << dropout;
      }
    }
  }
}

TEST(Lora, StartsAsNoChangeAndTrainsItsFactorsAlone) {
  const auto base = toy_model(), model = toy_model();
  attach(*model, lora(), 5);
  EXPECT_THAT(trained_names(*model), ElementsAre("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                                 "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
                                                 "base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight",
                                                 "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight",
                                                 "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight",
                                                 "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight",
                                                 "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight",
                                                 "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"));
  at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(model->logits(toy_batch()), base->logits(toy_batch())));
}

TEST(Lora, FactorsStartAsInPeftAndOnlyBySeedAndName) {
  const nlohmann::json wide{{"hidden_size", 64}, {"head_dim", 16}, {"num_hidden_layers", 1}};
  const auto one = toy_model(1, wide), two = toy_model(2, wide), other = toy_model(1, wide);
  auto options = lora({"q_proj"});
  options.r = 24;
  attach(*one, options, 5);
  options.target_modules = {{"o_proj", "q_proj"}, false};
  attach(*two, options, 5);
  attach(*other, options, 6);
  const std::string layer = "base_model.model.model.layers.0.self_attn.q_proj.";
  const auto a = trained(*one, layer + "lora_A.weight").value.detach(), b = trained(*one, layer + "lora_B.weight").value.detach();
  EXPECT_TRUE(at::equal(a, trained(*two, layer + "lora_A.weight").value));
  EXPECT_FALSE(at::equal(a, trained(*other, layer + "lora_A.weight").value));
  EXPECT_FALSE(at::equal(a, trained(*two, "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight").value));
  // kaiming_uniform(a = √5) over 64 inputs is uniform in ±1/√64: variance 1/192, over 1536 numbers known to 5 sigma within 12 %.
  const double bound = 1 / std::sqrt(64.0);
  EXPECT_LE(a.abs().max().item<double>(), bound);
  EXPECT_GT(a.abs().max().item<double>(), 0.98 * bound);
  EXPECT_NEAR(a.var().item<double>() * 192, 1, 0.12);
  EXPECT_EQ(b.abs().max().item<double>(), 0);
}

TEST(Lora, KeepsItsFactorsWideOnNarrowBases) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const auto model = toy_model(1, {}, dtype);
    attach(*model, lora(), 5);
    for (const auto* p : trained_parameters(*model)) EXPECT_EQ(p->value.scalar_type(), at::kFloat);
  }
}

TEST(Dropout, KeepsEachElementWithItsProbabilityAndIsKeyed) {
  const auto keys = std::make_shared<RandomKeys>(RandomKeys{.training = true, .seed = 3, .step = 7, .row_ids = {4, 9}});
  const KeyedDropout dropout(0.3, "layer", keys);
  const auto x = at::zeros({2, 50, 401});
  const auto kept = dropout.mask(x);
  const double n = static_cast<double>(kept.numel()), sigma = std::sqrt(0.3 * 0.7 / n);
  EXPECT_NEAR(kept.to(at::kDouble).mean().item<double>(), 0.7, 5 * sigma);
  EXPECT_NEAR(dropout.scale(), 1 / 0.7, 1e-4);
  const auto agreement = [&](const Tensor& other) { return kept.eq(other).to(at::kDouble).mean().item<double>(); };
  const double by_chance = 0.7 * 0.7 + 0.3 * 0.3, chance_sigma = 5 * std::sqrt(by_chance * (1 - by_chance) / n);
  EXPECT_EQ(agreement(dropout.mask(x)), 1);
  EXPECT_NEAR(agreement(KeyedDropout(0.3, "other layer", keys).mask(x)), by_chance, chance_sigma);
  keys->step = 8;
  EXPECT_NEAR(agreement(dropout.mask(x)), by_chance, chance_sigma);
  keys->step = 7, keys->seed = 4;
  EXPECT_NEAR(agreement(dropout.mask(x)), by_chance, chance_sigma);
  EXPECT_NEAR(kept[0].eq(kept[1]).to(at::kDouble).mean().item<double>(), by_chance, chance_sigma * std::sqrt(2.0));
  keys->training = false;
  EXPECT_FALSE(dropout.active());
}

TEST(Dropout, IsPhiloxElementByElement) {
  const auto keys = std::make_shared<RandomKeys>(RandomKeys{.training = true, .seed = 3, .step = 7, .row_ids = {4, std::int64_t{1} << 40}});
  const auto kept = KeyedDropout(0.5, "layer", keys).mask(at::zeros({2, 3, 1403}));  // no multiple of anything
  const auto words = philox(3, 7, hash_name("layer"));
  const auto key = static_cast<std::uint64_t>(words[1]) << 32 | words[0];
  std::int64_t wrong = 0;
  for (const std::int64_t row : {0, 1})
    for (std::int64_t i = 0; i < 3 * 1403; ++i) {
      const auto block = philox(key, static_cast<std::uint64_t>(i / 128 * 16 + i % 16),
                                static_cast<std::uint64_t>(keys->row_ids[static_cast<std::size_t>(row)]));
      const auto part = i / 16 % 8;
      const auto bits = block[static_cast<std::size_t>(part / 2)] >> 16 * (part % 2) & 0xffff;
      wrong += kept.data_ptr<bool>()[row * 3 * 1403 + i] != (bits >= 32768);
    }
  EXPECT_EQ(wrong, 0);
}

TEST(Dropout, MasksARowTheSameWhereverItLies) {
  const auto keys = std::make_shared<RandomKeys>(RandomKeys{.training = true, .seed = 3, .step = 7, .row_ids = {4, 9, 11}});
  const KeyedDropout dropout(0.5, "layer", keys);
  const auto together = dropout.mask(at::zeros({3, 5, 12}));
  keys->row_ids = {11};
  const auto alone = dropout.mask(at::zeros({1, 9, 12}));  // padded further
  EXPECT_TRUE(at::equal(together[2], alone[0].narrow(0, 0, 5)));
  keys->row_ids = {};
  EXPECT_EQ(dropout.mask(at::zeros({0, 5, 12})).numel(), 0);
  EXPECT_THROW((void)dropout.mask(at::zeros({2, 5, 12})), ShapeError);
}

std::vector<std::string> targets_of(const OneOrMany& targets, const std::vector<std::string>& saved = {}) {
  const auto model = toy_model(1, {{"num_hidden_layers", 1}, {"tie_word_embeddings", false}});
  std::vector<std::string> names;
  for (const auto& x : target_linears(*model, targets, saved)) names.push_back(x.name);
  return names;
}

TEST(Targets, AreSuffixesAfterADotOrOneWholePattern) {
  const std::string at = "model.layers.0.";
  EXPECT_THAT(targets_of({{"v_proj", "q_proj"}, false}), ElementsAre(at + "self_attn.q_proj", at + "self_attn.v_proj"));
  EXPECT_THAT(targets_of({{"self_attn.o_proj", "lm_head"}, false}), ElementsAre(at + "self_attn.o_proj", "lm_head"));
  EXPECT_THAT(targets_of({{".*mlp\\.(up|down)_proj"}, true}), ElementsAre(at + "mlp.up_proj", at + "mlp.down_proj"));
  EXPECT_EQ(targets_of({{"all-linear"}, true}).size(), 7u);
  EXPECT_THAT(targets_of({{"q_proj", "lm_head"}, false}, {"lm_head"}), ElementsAre(at + "self_attn.q_proj"));
}

TEST(Targets, ThatMatchNothingAreNamedWithTheNearest) {
  const auto error = message_of<ConfigError>([] { targets_of({{"q_proj", "vproj"}, false}); });
  EXPECT_THAT(error, HasSubstr("'vproj'"));
  EXPECT_THAT(error, HasSubstr("did you mean 'v_proj'?"));
  EXPECT_THAT(message_of<ConfigError>([] {
                targets_of({{"proj"}, false});
              }),
              HasSubstr("one of q_proj, k_proj, v_proj, o_proj, gate_proj"));             // no suffix inside a word
  EXPECT_THAT(message_of<ConfigError>([] { targets_of({{"q_proj"}, true}); }), HasSubstr("'q_proj'"));  // a pattern for whole names
  EXPECT_THAT(message_of<ConfigError>([] { targets_of({{"(q_proj"}, true}); }), HasSubstr("a regular expression"));
  EXPECT_THAT(message_of<ConfigError>([] { targets_of({{"embed_tokens"}, false}); }), HasSubstr("modules_to_save"));
  EXPECT_THAT(message_of<ConfigError>([] { attach(*toy_model(), lora({"lm_head"}), 1); }), HasSubstr("head is its embedding"));
  auto dropped = lora({"lm_head"});
  dropped.dropout = 0.1;
  EXPECT_THAT(message_of<ConfigError>([&] {
                attach(*toy_model(1, {{"tie_word_embeddings", false}}), dropped, 1);
              }),
              HasSubstr("no dropout before the head"));
}

TEST(Besides, BiasesAndWholeModulesAreTrainedUnderPeftsNames) {
  const nlohmann::json shape{{"num_hidden_layers", 1}, {"attention_bias", true}, {"tie_word_embeddings", false}};
  const std::string at = "base_model.model.model.layers.0.";
  auto options = lora({"q_proj"});
  options.bias = TrainedBiases::kLoraOnly;
  options.modules_to_save = {"lm_head", "embed_tokens"};
  const auto some = toy_model(1, shape), all = toy_model(1, shape);
  attach(*some, options, 1);
  EXPECT_THAT(trained_names(*some),
              ElementsAre("base_model.model.model.embed_tokens.weight", at + "self_attn.q_proj.base_layer.bias",
                          at + "self_attn.q_proj.lora_A.weight", at + "self_attn.q_proj.lora_B.weight", "base_model.model.lm_head.weight"));
  options.bias = TrainedBiases::kAll;
  options.modules_to_save = {};
  attach(*all, options, 1);
  EXPECT_THAT(trained_names(*all), ElementsAre(at + "self_attn.q_proj.base_layer.bias", at + "self_attn.q_proj.lora_A.weight",
                                               at + "self_attn.q_proj.lora_B.weight", at + "self_attn.k_proj.bias",
                                               at + "self_attn.v_proj.bias", at + "self_attn.o_proj.bias"));
}

TEST(Besides, WhatCannotBeTrainedWholeIsRefused) {
  const auto refusal = [](const std::vector<std::string>& saved) {
    auto options = lora({"q_proj"});
    options.modules_to_save = saved;
    return message_of<ConfigError>([&] { attach(*toy_model(), options, 1); });
  };
  EXPECT_THAT(refusal({"embed_tokens"}), HasSubstr("where the head is the embedding matrix"));
  EXPECT_THAT(refusal({"lm_head"}), HasSubstr("head is its embedding matrix"));
  EXPECT_THAT(refusal({"embed_token"}), HasSubstr("did you mean 'embed_tokens'?"));
  EXPECT_THAT(refusal({"proj"}), HasSubstr("an update of its own"));
}

}  // namespace
}  // namespace herd::test
