// What every line of the tables of PEFT methods and model families promises together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "peft/adapter_io.h"
#include "peft/family_targets.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/small_methods.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

struct Case {
  std::string method, family;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.method << " on " << c.family; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& method : peft_methods().names())
    for (const auto& family : families().names()) all.push_back({method, family});
  return all;
}

bool has_biases(CausalLm& model) {
  bool any = false;
  for_each_parameter(model, [&](const std::string& name, Parameter&) { any = any || name.ends_with(".bias"); });
  return any;
}

class EveryMethod : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().method != "bitfit" || has_biases(*base())) return;
    EXPECT_THAT(message_of<ConfigError>([&] { attached(options()); }), testing::HasSubstr("a " + GetParam().family + " without biases"));
    GTEST_SKIP() << "has nothing to train";
  }
  const PeftMethod& method() const { return peft_methods().at(GetParam().method); }
  PeftOptions options() const { return small_method(GetParam().method, GetParam().family); }
  std::unique_ptr<CausalLm> base() const {
    ModelOptions options{.family = GetParam().family};
    options.config = shape_of_family(options.family, {.hidden_size = 32, .intermediate_size = 40, .num_hidden_layers = 2, .num_attention_heads = 4,
                                                      .num_key_value_heads = 2, .max_position_embeddings = 64, .initializer_range = 0.2,
                                                      .tie_word_embeddings = true});
    auto model = make_model(hub_config(options, kToyVocab));
    materialise(*model, at::kFloat);
    initialise(*model, 3);
    return model;
  }
  std::unique_ptr<CausalLm> attached(const PeftOptions& o) const {
    auto model = base();
    attach(*model, o, 5);
    return model;
  }
};

// Ranks meet every method, on families whose layers differ most.
class EverySpread : public EveryMethod {};

std::vector<Case> spread_cases() {
  auto all = cases();
  std::erase_if(all, [](const Case& c) { return c.family != "llama" && c.family != "bloom" && c.family != "moss" && c.family != "chatglm"; });
  return all;
}

Batch toy_batch(const std::vector<Example>& examples) {
  const Batches batches(examples, {.global_batch_size = 4, .max_tokens = 30}, 0);
  return batches.micro_batches(0, 0, 1, 4).at(0);
}

Tensor logits(CausalLm& model) { return probe_logits(model, probe_batch(model)); }

TEST_P(EveryMethod, TrainsWhatItDeclaresAndNothingElse) {
  const auto model = attached(options());
  const auto examples = toy_examples(4);
  const auto batch = toy_batch(examples);
  *model->random = {.training = true, .seed = 1, .step = 0, .row_ids = batch.row_ids};
  Pass{*model, false, {}}.forward_backward(batch, 0.01);
  EXPECT_FALSE(trained_parameters(*model).empty());
  std::set<std::string> names;
  for_each_parameter(*model, [&](const std::string& name, Parameter& p) {
    EXPECT_EQ(p.value.requires_grad(), p.trainable) << name;
    EXPECT_EQ(p.value.grad().defined(), p.trainable) << name;
    EXPECT_TRUE(names.insert(p.name).second) << p.name << " twice";
    if (!p.trainable) return;
    const bool of_peft = p.name.starts_with(kPeftPrefix) || p.name.starts_with("prompt_e");
    EXPECT_EQ(of_peft, !method().peft_type.empty()) << p.name;
  });
}

TEST_P(EveryMethod, StartsAsNoChangeWhereItSaysSo) {
  const auto model = attached(options());
  const auto batch = probe_batch(*model);
  EXPECT_EQ(at::equal(probe_logits(*model, batch), probe_logits(*base(), batch)), method().starts_unchanged);
}

// Two texts in one row and each alone.
TEST_P(EveryMethod, KeepsPackedTextsApart) {
  const auto model = attached(options());
  shake(*model);
  const at::NoGradGuard no_grad;
  const auto examples = toy_examples(2);
  std::vector<std::vector<std::int64_t>> texts;
  for (const auto& example : examples) texts.emplace_back(example.tokens.begin(), example.tokens.end());
  auto together = texts[0];
  together.insert(together.end(), texts[1].begin(), texts[1].end());
  auto packed = plain_batch({together});
  const auto first = static_cast<std::int64_t>(texts[0].size()), all = static_cast<std::int64_t>(together.size());
  packed.segments = {{0, 0, first}, {0, first, all}};
  packed.positions_bt = at::cat({at::arange(first, at::kLong), at::arange(all - first, at::kLong)}).unsqueeze(0);
  const auto apart = at::cat({model->logits(plain_batch({texts[0]})), model->logits(plain_batch({texts[1]}))}, 1);
  EXPECT_LT(deviation(model->logits(packed), apart).relative(), 1e-5);
}

TEST_P(EveryMethod, ComesBackFromItsFolder) {
  if (method().peft_type.empty()) GTEST_SKIP() << "leaves no adapter";
  const Scratch scratch;
  const auto model = attached(options());
  shake(*model);
  save_adapter(*model, options(), "base", {}, scratch / "adapter");
  const auto again = base();
  EXPECT_EQ(attach_adapter(*again, scratch / "adapter", {}), options());
  const auto batch = probe_batch(*model);  // a base has room for longer texts
  const auto answer = [&](CausalLm& m) { return probe_logits(m, batch); };
  EXPECT_TRUE(at::equal(answer(*again), answer(*model)));
  EXPECT_GT(deviation(answer(*base()), answer(*model)).greatest, 0.005);  // of a moved adapter; the least is 0.007
}

TEST_P(EveryMethod, MergesIntoAPlainModel) {
  const auto model = attached(options());
  shake(*model);
  const auto before = logits(*model);
  if (!method().merges) {
    EXPECT_THAT(message_of<ConfigError>([&] { merge_adapter(*model); }), testing::HasSubstr("use the adapter as it is"));
    return;
  }
  merge_adapter(*model);
  EXPECT_LT(deviation(before, logits(*model)).relative(), merge_bound(*model, at::kFloat));
}

// One step's gradients, dropout included, on any number of ranks and in any micro-batches.
TEST_P(EverySpread, IsTheSameOnAnyNumberOfRanks) {
  auto o = options();
  o.dropout = 0.2;
  const auto examples = toy_examples(7);
  const auto gradients = [&](int ranks, std::int64_t micro_batch) {
    std::vector<Tensor> out;
    run_threads(ranks, [&](Communicator& c) {
      const auto model = attached(o);
      shake(*model);
      const auto strategy = strategies().at("ddp").make({*model, c, {}, 0});
      const Batches batches(examples, {.global_batch_size = 7, .max_tokens = 30, .seed = 4}, 0);
      const auto mine = batches.micro_batches(0, c.rank(), ranks, micro_batch);
      for (std::size_t i = 0; i < mine.size(); ++i) {
        *model->random = {.training = true, .seed = 11, .step = 0, .row_ids = mine[i].row_ids};
        strategy->forward_backward(mine[i], 0.01, i + 1 == mine.size());
      }
      strategy->finish_gradients();
      if (c.rank() == 0)
        for (const auto& slice : strategy->slices()) out.push_back(slice.grad.clone());
    });
    return out;
  };
  const auto alone = gradients(1, 7);
  for (const auto& [ranks, micro_batch] : std::vector<std::pair<int, std::int64_t>>{{1, 2}, {2, 2}, {3, 1}}) {
    const auto spread = gradients(ranks, micro_batch);
    ASSERT_EQ(spread.size(), alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i)
      EXPECT_LT((spread[i] - alone[i]).abs().max().item<double>(), 1e-5 * (1e-3 + alone[i].abs().max().item<double>()))
          << ranks << " ranks, slice " << i;
  }
}

// What a run may look like beside the plain one: whole blocks recomputed, and weights in parts.
TEST_P(EverySpread, IsTheSameRecomputedAndInParts) {
  auto o = options();
  o.dropout = 0.2;
  const auto examples = toy_examples(5);
  const auto gradients = [&](const std::string& strategy_name, int ranks, std::int64_t recompute_every) {
    std::map<std::string, Tensor> out;
    std::mutex lock;
    run_threads(ranks, [&](Communicator& c) {
      const auto model = attached(o);
      shake(*model);
      ParallelOptions parallel;
      parallel.shard_degree = ranks;
      const auto strategy = strategies().at(strategy_name).make({*model, c, parallel, recompute_every});
      const auto mine = Batches(examples, {.global_batch_size = 5, .max_tokens = 30}, 0).micro_batches(0, c.rank(), ranks, 5).at(0);
      *model->random = {.training = true, .seed = 11, .step = 0, .row_ids = mine.row_ids};
      strategy->forward_backward(mine, 0.01, true);
      strategy->finish_gradients();
      const std::lock_guard guard(lock);
      for (const auto& slice : strategy->slices()) {
        auto& whole = out.try_emplace(slice.parameter->name, at::zeros({slice.parameter->value.numel()}, slice.grad.options())).first->second;
        whole.narrow(0, slice.begin, slice.end - slice.begin).copy_(slice.grad);
      }
    });
    return out;
  };
  // Each method meets every strategy, on one family or another.
  const std::map<std::string, std::string> strategy_on{{"llama", "zero1"}, {"bloom", "zero2"}, {"moss", "hsdp"}, {"chatglm", "ddp"}};
  const auto other_strategy = strategy_on.at(GetParam().family);
  const auto plain = gradients("ddp", 1, 0);
  for (const auto& [name, other] : std::map<std::string, std::map<std::string, Tensor>>{
           {"recomputed", gradients("ddp", 1, 1)}, {"zero3, 2 ranks", gradients("zero3", 2, 0)}, {other_strategy, gradients(other_strategy, 2, 0)}}) {
    ASSERT_EQ(other.size(), plain.size()) << name;
    for (const auto& [parameter, grad] : plain)
      EXPECT_LT((other.at(parameter) - grad).abs().max().item<double>(), 1e-5 * (1e-3 + grad.abs().max().item<double>())) << name << ", " << parameter;
  }
}

// A recipe may leave the layers to the family, with every method that changes layers.
TEST(EveryFamily, HasDefaultTargets) {
  for (const auto& name : families().names()) {
    const auto* targets = family_targets().find(name);
    ASSERT_TRUE(targets) << name << " has no line in peft/family_targets.cpp";
    for (const auto list : {&FamilyTargets::lora, &FamilyTargets::ia3, &FamilyTargets::ia3_feedforward, &FamilyTargets::attention_in, &FamilyTargets::mlp_in,
                            &FamilyTargets::mlp_out})
      EXPECT_FALSE((targets->*list).empty()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, EverySpread, testing::ValuesIn(spread_cases()),
                         [](const auto& info) { return info.param.method + "_" + info.param.family; });
INSTANTIATE_TEST_SUITE_P(Tables, EveryMethod, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.method + "_" + info.param.family; });

}  // namespace
}  // namespace herd::test
