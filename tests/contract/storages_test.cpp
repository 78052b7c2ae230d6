// What every line of the table of weight storages promises, on every family and strategy: pruned to pairs.
#include <gtest/gtest.h>

#include <mutex>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "peft/merge.h"
#include "peft/peft_options.h"
#include "peft/registry.h"
#include "runtime/nn/quantise.h"
#include "tests/support/errors.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/small_methods.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

struct Case {
  std::string storage, family, strategy, method;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.method << " on " << c.storage << " on " << c.family << " by " << c.strategy; }

// Every storage meets every family, every strategy and every method that leaves its base alone.
std::vector<Case> cases() {
  std::vector<Case> all;
  const auto spread = strategies().names();
  auto methods = peft_methods().names();
  std::erase_if(methods, [](const auto& name) { return peft_methods().at(name).peft_type.empty(); });
  for (const auto& storage : weight_storages().names())
    for (const auto& family : families().names()) all.push_back({storage, family, spread[all.size() % spread.size()], methods[all.size() % methods.size()]});
  return all;
}

struct Opened {
  std::unique_ptr<CausalLm> model;
  ReadParameter read;
};

// On the meta device, its values random ones. Blocks of 32 end in the middle of rows of 40.
Opened open_toy(const std::string& family, const std::optional<QuantOptions>& quantization, bool tied = false) {
  ModelOptions o{.family = family};
  o.config = shape_of_family(family, {.hidden_size = 32,
                                      .intermediate_size = 40,
                                      .num_hidden_layers = 2,
                                      .num_attention_heads = 4,
                                      .num_key_value_heads = 2,
                                      .max_position_embeddings = 96,
                                      .initializer_range = 0.2,
                                      .tie_word_embeddings = tied});
  const auto config = hub_config(o, kToyVocab);
  Opened opened{.model = make_model(config), .read = {}};
  auto values = std::make_shared<std::map<const Parameter*, Tensor>>();
  const auto same = make_model(config);
  materialise(*same, at::kFloat);
  initialise(*same, 3);
  std::map<std::string, Tensor> by_name;
  for_each_parameter(*same, [&](const std::string& name, Parameter& p) { by_name[name] = p.value.detach().view(-1); });
  for_each_parameter(*opened.model, [&](const std::string& name, Parameter& p) { values->emplace(&p, by_name.at(name)); });
  opened.read = [values](const Parameter& p, std::int64_t begin, const Tensor& out) {
    out.copy_(values->at(&p).narrow(0, begin, out.numel()));
  };
  if (quantization) opened.read = quantise(*opened.model, *quantization, opened.read);
  return opened;
}

class EveryStorage : public testing::TestWithParam<Case> {
 protected:
  // No input of int8 is rounded: its answers are those of its dequantised weights then.
  QuantOptions exact() const { return {.method = GetParam().storage, .block_size = 32, .threshold = 1e-30, .group_size = 8}; }
  Opened open(const std::optional<QuantOptions>& quantization) const { return open_toy(GetParam().family, quantization); }
  PeftOptions method() const { return small_method(GetParam().method, GetParam().family); }
  void attach_moved(CausalLm& model) const {
    attach(model, method(), 5);
    shake(model);
  }
};

// A dense model with the values that a quantised one stands for.
std::unique_ptr<CausalLm> dense_twin(CausalLm& quantised, Opened dense) {
  fill(*dense.model, dense.read);
  std::map<std::string, Tensor> matrices;
  for_each_linear(quantised, [&](const std::string& name, Linear& linear) { matrices[name] = linear.storage().dense(); });
  for_each_linear(*dense.model, [&](const std::string& name, Linear& linear) { linear.set_weight(matrices.at(name)); });
  return std::move(dense.model);
}

std::map<std::string, Tensor> gradients(CausalLm& model, const Batch& batch, std::int64_t recompute_every) {
  *model.random = {.training = true, .seed = 1, .step = 0, .row_ids = batch.row_ids};
  Pass{model, recompute_every, nullptr}.forward_backward(batch, 0.01);
  std::map<std::string, Tensor> found;
  for_each_parameter(model, [&](const std::string&, Parameter& p) {
    EXPECT_EQ(p.value.grad().defined(), p.trainable) << p.name;
    if (p.trainable) found[p.name] = std::exchange(p.value.mutable_grad(), Tensor());
  });
  return found;
}

Batch toy_batch(const std::vector<Example>& examples) {
  return Batches(examples, {.global_batch_size = 7, .max_tokens = 30}, 0).micro_batches(0, 0, 1, 7).at(0);
}

TEST_P(EveryStorage, LearnsAsItsDenseTwinDoes) {
  auto opened = open(exact());
  auto& model = *opened.model;
  fill(model, opened.read);
  const auto twin = dense_twin(model, open(std::nullopt));
  const auto probe = probe_batch(model);
  const auto plain = probe_logits(model, probe);
  EXPECT_LT(deviation(probe_logits(*twin, probe), plain).relative(), 1e-5);  // fp32 sums in another order, through two blocks
  attach(model, method(), 5);
  EXPECT_EQ(at::equal(probe_logits(model, probe), plain), peft_methods().at(GetParam().method).starts_unchanged);

  const auto twin_again = dense_twin(model, open(std::nullopt));
  auto moved = open(exact());
  fill(*moved.model, moved.read);
  attach_moved(*moved.model);
  attach_moved(*twin_again);
  const auto examples = toy_examples(7);
  const auto batch = toy_batch(examples);
  const auto found = gradients(*moved.model, batch, 0), again = gradients(*moved.model, batch, 1),
             expected = gradients(*twin_again, batch, 0);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, gradient] : expected) {
    EXPECT_LT((found.at(name) - gradient).abs().max().item<double>(), 1e-4 * (1e-3 + gradient.abs().max().item<double>())) << name;
    EXPECT_TRUE(at::equal(found.at(name), again.at(name))) << name << ", recomputed";
  }
}

// Two ranks that keep parts hold the same codes and find the same gradients as one.
TEST_P(EveryStorage, IsTheSameOnTwoRanks) {
  const auto examples = toy_examples(7);
  struct Found {
    std::map<std::string, Tensor> gradients, parts;
    double loss = 0;
  };
  const auto run = [&](int ranks, const std::string& strategy_name) {
    Found found;
    std::mutex mutex;
    run_threads(ranks, [&](Communicator& c) {
      const auto opened = open(QuantOptions{.method = GetParam().storage, .block_size = 32, .group_size = 8});
      auto& model = *opened.model;
      attach_moved(model);
      ParallelOptions parallel;
      parallel.shard_degree = ranks;
      const auto strategy =
          strategies()
              .at(strategy_name)
              .make({.model = model, .communicator = c, .options = parallel, .recompute_every = ranks - 1, .read = opened.read});
      const Batches batches(examples, {.global_batch_size = 7, .max_tokens = 30}, 0);
      const auto mine = batches.micro_batches(0, c.rank(), ranks, 2);
      double loss = 0;
      for (std::size_t i = 0; i < mine.size(); ++i) {
        *model.random = {.training = true, .seed = 1, .step = 0, .row_ids = mine[i].row_ids};
        loss += strategy->forward_backward(mine[i], 0.01, i + 1 == mine.size());
      }
      strategy->finish_gradients();
      const std::lock_guard lock(mutex);
      found.loss += loss;
      for (const auto& slice : strategy->slices()) {
        auto& whole = found.gradients[slice.parameter->name];
        if (!whole.defined()) whole = at::zeros({slice.parameter->value.numel()}, slice.grad.options());
        whole.narrow(0, slice.begin, slice.end - slice.begin).copy_(slice.grad);
      }
    });
    run_threads(ranks, [&](Communicator& c) {
      const auto opened = open(QuantOptions{.method = GetParam().storage, .block_size = 32, .group_size = 8});
      attach_moved(*opened.model);
      ParallelOptions parallel;
      parallel.shard_degree = ranks;
      const auto strategy =
          strategies().at(strategy_name).make({.model = *opened.model, .communicator = c, .options = parallel, .read = opened.read});
      strategy->with_whole_parameters(true, [&] {
        if (c.rank() == 0)
          for_each_parameter(*opened.model, [&](const std::string&, Parameter& p) {
            if (p.value.scalar_type() == at::kByte) found.parts[p.name] = p.value.clone();
          });
      });
    });
    return found;
  };
  const auto alone = run(1, "ddp"), spread = run(2, GetParam().strategy);
  EXPECT_FALSE(alone.parts.empty());
  for (const auto& [name, part] : alone.parts) EXPECT_TRUE(at::equal(spread.parts.at(name), part)) << name;
  EXPECT_NEAR(spread.loss, alone.loss, 1e-4 * alone.loss);
  ASSERT_EQ(spread.gradients.size(), alone.gradients.size());
  for (const auto& [name, gradient] : alone.gradients)
    EXPECT_LT((spread.gradients.at(name) - gradient).abs().max().item<double>(), 1e-4 * (1e-3 + gradient.abs().max().item<double>()))
        << name;
}

// What is merged is the dequantised matrix, updated or not: nothing but the order of fp32 sums tells the two apart, and what int8 rounds of inputs.
TEST_P(EveryStorage, MergesIntoADenseModel) {
  for (const auto& options : {exact(), QuantOptions{.method = GetParam().storage, .block_size = 32, .group_size = 8}}) {
    const auto opened = open(options);
    auto& model = *opened.model;
    fill(model, opened.read);
    attach(model, {.method = "lora", .r = 4}, 5);  // on some layers, as the family has it
    for_each_parameter(model, [](const std::string& name, Parameter& p) {
      if (p.trainable && name.ends_with("lora_B.weight")) p.value.detach().fill_(0.05);
    });
    std::int64_t quantised = 0;
    for_each_linear(model, [&](const std::string&, Linear& linear) { quantised += !linear.has_dense_weight(); });
    const auto batch = probe_batch(model);
    const auto before = probe_logits(model, batch);
    const auto bound = merge_bound(model, at::kFloat);
    const auto merged = merge_adapter(model);
    EXPECT_EQ(merged.dequantised, quantised);
    EXPECT_GT(merged.updated, 0);
    EXPECT_LT(merged.updated, quantised);
    for_each_linear(model, [](const std::string& name, Linear& linear) { EXPECT_TRUE(linear.has_dense_weight()) << name; });
    const auto found = deviation(before, probe_logits(model, batch));
    EXPECT_LT(found.relative(), options.threshold < 1 ? 1e-4 : bound);
    if (options.threshold < 1) {
      EXPECT_LT(found.divergence, 1e-6);
    }
  }
}

TEST_P(EveryStorage, IsNotTrainedItself) {
  const auto opened = open(exact());
  EXPECT_THROW(attach(*opened.model, {.method = "none"}, 1), ConfigError);
}

INSTANTIATE_TEST_SUITE_P(Tables, EveryStorage, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.storage + "_" + info.param.family + "_" + info.param.strategy + "_" + info.param.method; });

TEST(Storages, SkipWhatIsNamed) {
  auto quantization = QuantOptions{.method = "nf4", .block_size = 32, .skip_modules = {"down_proj", "layers.1.self_attn.q_proj"}};
  const auto opened = open_toy("llama", quantization);
  std::vector<std::string> dense;
  for_each_linear(*opened.model, [&](const std::string& name, Linear& linear) {
    if (linear.has_dense_weight()) dense.push_back(name);
  });
  EXPECT_EQ(dense, (std::vector<std::string>{"model.layers.0.mlp.down_proj", "model.layers.1.self_attn.q_proj",
                                             "model.layers.1.mlp.down_proj", "lm_head"}));
  EXPECT_EQ(count_numbers(*opened.model).all, count_numbers(*open_toy("llama", std::nullopt).model).all);
  quantization.skip_modules = {"c_attn"};
  EXPECT_NE(message_of<ConfigError>([&] { open_toy("llama", quantization); }).find("q_proj"), std::string::npos);
  EXPECT_THROW(open_toy("llama", QuantOptions{.head = true}, true), ConfigError);
}

}  // namespace
}  // namespace herd::test
