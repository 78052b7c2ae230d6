// DoRA, starts from the base's weights, and options of some layers alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/strategy.h"
#include "peft/adapter_io.h"
#include "peft/lora_start.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "peft/start.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"
#include "train/optimizer.h"

namespace herd::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PeftOptions lora(const std::vector<std::string>& targets = {"q_proj", "down_proj"}) {
  PeftOptions o{.method = "lora", .r = 4, .alpha = 6};
  o.target_modules = {targets, false};
  return o;
}

Linear& layer(CausalLm& model, const std::string& wanted) {
  Linear* found = nullptr;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    if (name == wanted) found = &linear;
  });
  return *found;
}

std::map<std::string, Tensor> values_of(CausalLm& model) {
  std::map<std::string, Tensor> out;
  for_each_parameter(model, [&](const std::string&, Parameter& p) { out[p.name] = p.value.detach(); });
  return out;
}

Tensor logits(CausalLm& model) { return probe_logits(model, probe_batch(model)); }

void shake(CausalLm& model) {
  at::NoGradGuard no_grad;
  std::int64_t i = 0;
  for (auto* p : trained_parameters(model))
    p->value.add_(0.05 * at::sin(at::arange(p->value.numel(), p->value.options()) * 0.7 + static_cast<double>(++i)).view_as(p->value));
}

// m ⊙ (W + s·B·A) / ‖W + s·B·A‖, row by row, made whole.
TEST(Dora, IsTheWeightsDirectionTimesItsTrainedLength) {
  auto o = lora({"q_proj"});
  o.use_dora = true;
  const auto model = toy_model();
  attach(*model, o, 5);
  shake(*model);
  const std::string name = "model.layers.1.self_attn.q_proj", at = kPeftPrefix + name;
  auto values = values_of(*model);
  auto& q = layer(*model, name);
  const auto w = q.weight().value.detach() + 1.5 * at::mm(values.at(at + ".lora_B.weight"), values.at(at + ".lora_A.weight"));
  const auto whole = w * (values.at(at + ".lora_magnitude_vector") / at::linalg_vector_norm(w, 2, at::IntArrayRef{1})).unsqueeze(1);
  const auto x = at::randn({5, 24});
  at::NoGradGuard no_grad;
  EXPECT_TRUE(at::allclose(q(x), at::linear(x, whole), 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(*q.slot()->merged(q.storage().dense()), whole, 1e-5, 1e-6));
}

TEST(Dora, StartsAsNoChangeFromWeightsThatAreStillInTheirFile) {
  auto o = lora();
  o.use_dora = true;
  const auto model = toy_model(), base = toy_model();
  std::map<const Parameter*, Tensor> file;
  for_each_parameter(*model, [&](const std::string&, Parameter& p) {
    file[&p] = p.value.detach().clone();
    p.value = at::empty(p.value.sizes(), p.value.options().device(at::kMeta)).set_requires_grad(true);
  });
  const ReadParameter read = [&](const Parameter& p, std::int64_t begin, const Tensor& out) {
    out.copy_(file.at(&p).view(-1).narrow(0, begin, out.numel()));
  };
  attach(*model, o, PeftStart{5, read});
  std::int64_t on_meta = 0;
  for_each_parameter(*model, [&](const std::string&, Parameter& p) { on_meta += p.value.is_meta(); });
  EXPECT_EQ(on_meta, static_cast<std::int64_t>(file.size()));  // the base stays where it is
  fill(*model, read);
  EXPECT_TRUE(at::equal(logits(*model), logits(*base)));
}

TEST(Starts, FromTheBasesWeightsChangeNothingAtFirst) {
  for (const auto init : {AdapterInit::kPissa, AdapterInit::kOlora}) {
    auto o = lora();
    o.init = init;
    const auto model = toy_model(), base = toy_model();
    attach(*model, o, 5);
    EXPECT_LT(deviation(logits(*base), logits(*model)).relative(), 1e-5);  // two sums of equal terms, taken apart
    shake(*model);
    EXPECT_GT(deviation(logits(*base), logits(*model)).relative(), 0.01);
  }
}

TEST(Starts, ArePissasBestAndOlorasFirstPart) {
  const auto w = at::randn({12, 9});
  const auto [a, b] = pissa(w, 4, 0.5);
  const auto values = at::linalg_svdvals(w);
  // Eckart and Young: what is left has the other singular values.
  EXPECT_TRUE(at::allclose(at::linalg_svdvals(w - 0.5 * at::mm(b, a)).narrow(0, 0, 5), values.narrow(0, 4, 5), 1e-4, 1e-4));
  EXPECT_TRUE(at::allclose(at::mm(b.t(), b), at::mm(a, a.t()), 1e-4, 1e-4));  // shared evenly
  const auto [ra, qb] = olora(w, 4);
  EXPECT_TRUE(at::allclose(at::mm(qb.t(), qb), at::eye(4), 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(at::mm(qb, ra).narrow(1, 0, 4), w.narrow(1, 0, 4), 1e-4, 1e-4));  // R is triangular
}

TEST(Starts, LeaveAnAdapterForTheBaseAsItIs) {
  for (const bool rslora : {false, true}) {
    const Scratch scratch;
    auto o = lora();
    o.init = AdapterInit::kPissa;
    o.use_rslora = rslora;
    o.rank_pattern = {{{"down_proj", 3}}};
    const auto model = toy_model(), again = toy_model();
    attach(*model, o, 5);
    shake(*model);
    save_adapter(*model, o, "base", {}, scratch / "adapter");
    const auto read = attach_adapter(*again, scratch / "adapter", {});
    EXPECT_EQ(read.r, 8);
    EXPECT_EQ(read.rank_pattern.values.front().second, 6);
    EXPECT_EQ(read.init, AdapterInit::kNoChange);
    EXPECT_LT(deviation(logits(*model), logits(*again)).relative(), 1e-5);
    merge_adapter(*model);
    EXPECT_LT(deviation(logits(*again), logits(*model)).relative(), merge_bound(*model, at::kFloat));
  }
}

TEST(Patterns, GiveLayersTheirOwnRankAndScale) {
  auto o = lora({"q_proj", "v_proj"});
  o.rank_pattern = {{{"layers.1.self_attn.q_proj", 2}, {"v_proj", 3}}};
  o.alpha_pattern = {{{".*\\.0\\..*", 12}}};
  o.init = AdapterInit::kRandom;
  const auto model = toy_model();
  attach(*model, o, 5);
  const auto values = values_of(*model);
  const std::string at = "base_model.model.model.layers.";
  EXPECT_EQ(values.at(at + "0.self_attn.q_proj.lora_A.weight").size(0), 4);
  EXPECT_EQ(values.at(at + "1.self_attn.q_proj.lora_A.weight").size(0), 2);
  EXPECT_EQ(values.at(at + "1.self_attn.v_proj.lora_B.weight").size(1), 3);
  at::NoGradGuard no_grad;
  for (const auto& [block, scale] : std::map<std::string, double>{{"0", 12.0 / 4}, {"1", 6.0 / 2}}) {
    const auto name = block + ".self_attn.q_proj";
    auto& q = layer(*model, "model.layers." + name);
    const auto zero = at::zeros({24, 24});
    EXPECT_TRUE(at::allclose(*q.slot()->merged(zero),
                             scale * at::mm(values.at(at + name + ".lora_B.weight"), values.at(at + name + ".lora_A.weight")), 1e-5, 1e-6));
  }
  o.rank_pattern = {{{"k_proj", 2}}};
  EXPECT_THAT(message_of<ConfigError>([&] { attach(*toy_model(), o, 5); }), HasSubstr("'k_proj', which names none of the updated layers"));
}

TEST(Layers, AreChosenByNumber) {
  auto o = lora({"q_proj"});
  o.layers_to_transform = {1};
  const auto names = [&] {
    const auto model = toy_model();
    attach(*model, o, 5);
    std::vector<std::string> out;
    for (const auto* p : trained_parameters(*model)) out.push_back(p->name);
    return out;
  };
  const std::string at = "base_model.model.model.layers.1.self_attn.q_proj.";
  EXPECT_THAT(names(), ElementsAre(at + "lora_A.weight", at + "lora_B.weight"));
  o.layers_pattern = {"layers"};
  EXPECT_THAT(names(), ElementsAre(at + "lora_A.weight", at + "lora_B.weight"));
  o.layers_pattern = {"h"};
  EXPECT_THAT(message_of<ConfigError>(names), HasSubstr("a layer without a target"));
  o.layers_pattern = {};
  o.layers_to_transform = {0, 2};
  EXPECT_THAT(message_of<ConfigError>(names), HasSubstr("numbers from 0 to 1"));
}

TEST(Rank, GreaterThanTheLayersIsRefused) {
  auto o = lora({"k_proj"});  // [12, 24]
  o.r = 13;
  EXPECT_THAT(message_of<ConfigError>([&] { attach(*toy_model(), o, 5); }), HasSubstr("at most 12: a matrix has no greater rank"));
  o.r = 12;
  EXPECT_EQ(outcome_of<ConfigError>([&] { attach(*toy_model(), o, 5); }), kNoError);
}

TEST(LoraPlus, BLearnsAtItsOwnRate) {
  const auto moved = [](double ratio) {
    auto o = lora({"q_proj"});
    o.init = AdapterInit::kRandom;
    o.lora_plus_ratio = ratio;
    std::map<std::string, double> by_factor;
    run_threads(1, [&](Communicator& c) {
      const auto model = toy_model();
      attach(*model, o, 5);
      const auto strategy = strategies().at("ddp").make({*model, c, {}, 0});
      AdamW optimizer(strategy->slices(), {}, false, [&](const Parameter& p) { return peft_methods().at("lora").learning_rate_factor(o, p); });
      for (auto& slice : strategy->slices()) slice.grad.fill_(0.5);
      std::vector<Tensor> before;
      for (const auto& slice : strategy->slices()) before.push_back(slice.value.clone());
      optimizer.step(1e-3);
      for (std::size_t i = 0; i < before.size(); ++i) {
        const auto& name = strategy->slices()[i].parameter->name;
        by_factor[name.substr(name.find("lora_"), 6)] = (before[i] - strategy->slices()[i].value).mean().item<double>();
      }
    });
    return by_factor;
  };
  const auto same = moved(1), apart = moved(16);
  EXPECT_NEAR(same.at("lora_A"), 1e-3, 1e-6);  // Adam's first step is the learning rate
  EXPECT_NEAR(same.at("lora_B"), 1e-3, 1e-6);
  EXPECT_NEAR(apart.at("lora_A"), 1e-3, 1e-6);
  EXPECT_NEAR(apart.at("lora_B"), 16e-3, 1e-5);
}

}  // namespace
}  // namespace herd::test
