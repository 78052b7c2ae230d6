// What the contract of methods cannot know of ia3 and the bottleneck adapters: closed forms, finite differences, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/pass.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/small_methods.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

using testing::HasSubstr;

PeftOptions options(const std::string& method) { return {.method = method, .bottleneck_size = 5, .init = AdapterInit::kRandom}; }

Linear& layer(CausalLm& model, const std::string& wanted) {
  Linear* found = nullptr;
  for_each_linear(model, [&](const std::string& name, Linear& linear) {
    if (name == wanted) found = &linear;
  });
  return *found;
}

std::map<std::string, Tensor> trained(CausalLm& model) {
  std::map<std::string, Tensor> out;
  for (const auto* p : trained_parameters(model)) out[p->name.substr(std::string(kPeftPrefix).size())] = p->value.detach();
  return out;
}

// A LLaMA with biases, whose MLP layers are asked alone.
struct Layer {
  explicit Layer(const PeftOptions& o) : model(toy_model(1, {{"mlp_bias", true}, {"attention_bias", true}}, at::kDouble)) {
    at::NoGradGuard no_grad;
    for_each_parameter(*model, [](const std::string&, Parameter& p) {
      if (p.value.dim() == 1) p.value.add_(at::randn_like(p.value));
    });
    attach(*model, o, 5);
  }
  Tensor operator()(const std::string& name, const Tensor& x) {
    at::NoGradGuard no_grad;
    return layer(*model, name)(x);
  }
  std::unique_ptr<CausalLm> model;
};

TEST(Ia3, ScalesOutputsAndTheInputOfTheMlpsLastLayer) {
  Layer l(options("ia3"));
  auto values = trained(*l.model);
  ASSERT_EQ(values.size(), 6u);
  const std::string key = "model.layers.1.self_attn.k_proj", down = "model.layers.1.mlp.down_proj";
  const auto x = at::randn({3, 24}, at::kDouble), h = at::randn({3, 40}, at::kDouble);
  const auto plain = [&](const std::string& name, const Tensor& of) {
    return at::linear(of, layer(*l.model, name).weight().value.detach(), layer(*l.model, name).bias().value.detach());
  };
  EXPECT_EQ(values.at(key + ".ia3_l").sizes(), at::IntArrayRef({12, 1}));
  EXPECT_EQ(values.at(down + ".ia3_l").sizes(), at::IntArrayRef({1, 40}));
  EXPECT_TRUE(at::allclose(l(key, x), plain(key, x) * values.at(key + ".ia3_l").view(-1), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(l(down, h), plain(down, h * values.at(down + ".ia3_l")), 1e-12, 1e-12));
  EXPECT_FALSE(at::allclose(l(key, x), plain(key, x), 1e-2, 1e-2));
}

// Biases as well: a layer's own is a part of its output.
TEST(Ia3, MergesWithBiases) {
  auto model = toy_model(1, {{"attention_bias", true}});
  {
    at::NoGradGuard no_grad;
    for_each_parameter(*model, [](const std::string&, Parameter& p) {
      if (p.value.dim() == 1) p.value.add_(0.3 * at::randn_like(p.value));
    });
  }
  attach(*model, options("ia3"), 5);
  const auto batch = probe_batch(*model);
  const auto before = probe_logits(*model, batch);
  EXPECT_EQ(merge_adapter(*model).updated, 6);
  EXPECT_LT(deviation(before, probe_logits(*model, batch)).relative(), merge_bound(*model, at::kFloat));
}

TEST(Ia3, FeedforwardModulesAreTargets) {
  auto o = options("ia3");
  o.target_modules = {{"q_proj", "up_proj"}, false};
  EXPECT_EQ(trained(*Layer(o).model).at("model.layers.0.mlp.up_proj.ia3_l").sizes(),
            at::IntArrayRef({40, 1}));  // no default of the family's
  o.feedforward_modules = {{"up_proj"}, false};
  EXPECT_EQ(trained(*Layer(o).model).at("model.layers.0.mlp.up_proj.ia3_l").sizes(), at::IntArrayRef({1, 24}));
  o.feedforward_modules = {{"down_proj"}, false};
  EXPECT_THAT(message_of<ConfigError>([&] { Layer{o}; }), HasSubstr("'down_proj', which names none of the targets"));
}

TEST(Bottleneck, StandsBeforeAfterAndBesideLayers) {
  auto o = options("adapter_h");
  o.scaling = 1.5;
  Layer l(o);
  const auto values = trained(*l.model);
  ASSERT_EQ(values.size(), 12u);
  const auto adapter = [&](const std::string& name, const Tensor& of) {
    return 1.5 * at::linear(at::linear(of, values.at(name + ".adapter_down.weight")).tanh(), values.at(name + ".adapter_up.weight"));
  };
  const auto plain = [&](const std::string& name, const Tensor& of) {
    return at::linear(of, layer(*l.model, name).weight().value.detach(), layer(*l.model, name).bias().value.detach());
  };
  const auto x = at::randn({3, 24}, at::kDouble), h = at::randn({3, 40}, at::kDouble);
  const std::string gate = "model.layers.0.mlp.gate_proj", down = "model.layers.0.mlp.down_proj";
  EXPECT_TRUE(at::allclose(l(gate, x), plain(gate, x + adapter(gate, x)), 1e-12, 1e-12));
  const auto y = plain(down, h);
  EXPECT_TRUE(at::allclose(l(down, h), y + adapter(down, y), 1e-12, 1e-12));

  auto beside = options("adapter_parallel");
  beside.non_linearity = Activation::kRelu;
  Layer p(beside);
  const auto v = trained(*p.model);
  const std::string key = "model.layers.0.self_attn.k_proj";
  const auto added = at::linear(at::linear(x, v.at(key + ".adapter_down.weight")).relu(), v.at(key + ".adapter_up.weight"));
  const auto base = at::linear(x, layer(*p.model, key).weight().value.detach(), layer(*p.model, key).bias().value.detach());
  EXPECT_TRUE(at::allclose(p(key, x), base + added, 1e-12, 1e-12));
}

TEST(Bottleneck, PlacesAndTargetsAreTheFamilys) {
  EXPECT_EQ(trained(*Layer(options("adapter_p")).model).size(), 4u);
  EXPECT_TRUE(trained(*Layer(options("adapter_p")).model).contains("model.layers.1.mlp.down_proj.adapter_up.weight"));
  auto o = options("adapter_h");
  o.target_modules = {{"q_proj"}, false};
  EXPECT_THAT(message_of<ConfigError>([&] { Layer{o}; }), HasSubstr("before, or out of it (down_proj)"));
  o = options("adapter_h");
  o.learn_scaling = true;
  EXPECT_EQ(trained(*Layer(o).model).at("model.layers.1.mlp.down_proj.adapter_scaling").item<double>(), 1);
}

std::vector<std::string> names(const PeftOptions& o, const nlohmann::json& changes = {}) {
  const auto model = toy_model(1, changes);
  attach(*model, o, 5);
  std::vector<std::string> out;
  for (const auto* p : trained_parameters(*model)) out.push_back(p->name);
  return out;
}

TEST(Freeze, TrainsBlocksModulesAndParts) {
  PeftOptions o{.method = "freeze", .trainable_blocks = 1};
  EXPECT_EQ(names(o).size(), 9u);
  for (const auto& name : names(o)) EXPECT_TRUE(name.starts_with("model.layers.1.")) << name;
  o.trainable_blocks = -1;
  for (const auto& name : names(o)) EXPECT_TRUE(name.starts_with("model.layers.0.")) << name;
  o.trainable_modules = {"mlp"};
  EXPECT_THAT(names(o), testing::ElementsAre("model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight",
                                             "model.layers.0.mlp.down_proj.weight"));
  o.trainable_modules = {"mpl"};
  EXPECT_THAT(message_of<ConfigError>([&] { names(o); }), HasSubstr("did you mean 'mlp'?"));
  o = {.method = "freeze", .trainable_blocks = 0, .trainable_parts = {"norms"}};
  EXPECT_THAT(names(o), testing::ElementsAre("model.layers.0.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight",
                                             "model.layers.1.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight",
                                             "model.norm.weight"));
  o.trainable_parts = {"embedding"};
  EXPECT_THAT(names(o), testing::ElementsAre("model.embed_tokens.weight"));
  o.trainable_parts = {"head"};
  EXPECT_THAT(names(o, {{"tie_word_embeddings", false}}), testing::ElementsAre("lm_head.weight"));
  EXPECT_THAT(message_of<ConfigError>([&] { names(o); }), HasSubstr("this model's head is its embedding matrix"));
  o.trainable_parts = {};
  EXPECT_THAT(message_of<ConfigError>([&] { names(o); }), HasSubstr("nothing to train"));
  o.trainable_blocks = 3;
  EXPECT_THAT(message_of<ConfigError>([&] { names(o); }), HasSubstr("at most 2 blocks"));
}

TEST(Bitfit, TrainsEveryBias) {
  const PeftOptions o{.method = "bitfit"};
  EXPECT_EQ(names(o, {{"mlp_bias", true}}).size(), 6u);
  EXPECT_THAT(message_of<ConfigError>([&] { names(o); }), HasSubstr("a llama without biases"));
}

TEST(Methods, GradientsAreTheLosssSlopes) {
  std::vector<PeftOptions> all;
  for (const std::string method : {"ia3", "adapter_h", "adapter_p", "adapter_parallel"}) {
    all.push_back(options(method));
    all.back().learn_scaling = true;
    all.back().dropout = method == "ia3" ? 0 : 0.25;
  }
  for (const std::string method : {"adalora", "prompt", "p_tuning", "prefix"}) all.push_back(small_method(method, "llama"));
  all.push_back(small_method("p_tuning", "llama"));
  all.back().encoder = PromptEncoderKind::kLstm;
  all.push_back(small_method("prefix", "llama"));
  all.back().prefix_projection = false;
  for (const auto& o : all) {
    const auto& method = o.method;
    Layer l(o);
    auto& model = *l.model;
    shake(model);
    auto batch = plain_batch({{3, 1, 4, 1, 5, 9, 2, 6}, {2, 7, 1, 8, 2, 8, 1, 8}});
    batch.labels_bt = batch.tokens_bt.clone();
    batch.labels_bt.narrow(1, 0, 1).fill_(kIgnoreLabel);
    batch.supervised_tokens = 14;
    *model.random = {.training = true, .seed = 9, .step = 4, .row_ids = {0, 1}};
    Pass{model, false, {}}.forward_backward(batch, 1);
    constexpr double kStep = 1e-5;
    for (auto* p : trained_parameters(model)) {
      for (const auto i : {std::int64_t{0}, p->value.numel() / 2}) {
        auto* element = p->value.data_ptr<double>() + i;
        const double before = *element;
        *element = before + kStep;
        const double above = forward_loss(model, batch).sum;
        *element = before - kStep;
        const double below = forward_loss(model, batch).sum;
        *element = before;
        const double slope = (above - below) / (2 * kStep);
        EXPECT_NEAR(p->value.grad().flatten()[i].item<double>(), slope, 1e-6 * (1 + std::abs(slope)))
            << method << " " << p->name << "[" << i << "]";
      }
    }
  }
}

}  // namespace
}  // namespace herd::test
