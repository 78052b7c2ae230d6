// What every line of the tables of PEFT methods and model families promises together.
#include <gtest/gtest.h>

#include "data/batches.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "tests/support/scratch.h"
#include "tests/support/shape_of_family.h"
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

class EveryMethod : public testing::TestWithParam<Case> {
 protected:
  const PeftMethod& method() const { return peft_methods().at(GetParam().method); }
  PeftOptions options() const {
    PeftOptions o{.method = GetParam().method, .r = 4};
    o.target_modules = {{"all-linear"}, true};
    return o;
  }
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

Batch toy_batch(const std::vector<Example>& examples) {
  const Batches batches(examples, {.global_batch_size = 4, .max_tokens = 30}, 0);
  return batches.micro_batches(0, 0, 1, 4).at(0);
}

// Moves every trained parameter, as training would: a new adapter may be no change at all.
void shake(CausalLm& model) {
  at::NoGradGuard no_grad;
  std::int64_t i = 0;
  for (auto* p : trained_parameters(model))
    p->value.add_(0.05 * at::sin(at::arange(p->value.numel(), p->value.options()) * 0.7 + static_cast<double>(++i)).view_as(p->value));
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
    EXPECT_EQ(p.name.starts_with(kPeftPrefix), !method().peft_type.empty()) << p.name;
  });
}

TEST_P(EveryMethod, StartsAsNoChange) { EXPECT_TRUE(at::equal(logits(*attached(options())), logits(*base()))); }

TEST_P(EveryMethod, ComesBackFromItsFolder) {
  if (method().peft_type.empty()) GTEST_SKIP() << "leaves no adapter";
  const Scratch scratch;
  const auto model = attached(options());
  shake(*model);
  save_adapter(*model, options(), "base", {}, scratch / "adapter");
  const auto again = base();
  EXPECT_EQ(attach_adapter(*again, scratch / "adapter", {}), options());
  EXPECT_TRUE(at::equal(logits(*again), logits(*model)));
  EXPECT_GT(deviation(logits(*base()), logits(*model)).greatest, 0.01);
}

TEST_P(EveryMethod, MergesIntoAPlainModel) {
  const auto model = attached(options());
  shake(*model);
  const auto before = logits(*model);
  merge_adapter(*model);
  EXPECT_LT(deviation(before, logits(*model)).relative(), merge_bound(*model, at::kFloat));
}

// One step's gradients, dropout included, on any number of ranks and in any micro-batches.
TEST_P(EveryMethod, IsTheSameOnAnyNumberOfRanks) {
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

INSTANTIATE_TEST_SUITE_P(Tables, EveryMethod, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.method + "_" + info.param.family; });

}  // namespace
}  // namespace herd::test
