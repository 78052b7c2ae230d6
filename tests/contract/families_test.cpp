// What every model family owes, whichever it is: a line in families() is tested by being there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "models/hub.h"
#include "models/registry.h"
#include "parallel/comm/threads.h"
#include "parallel/pass.h"
#include "parallel/strategy.h"
#include "runtime/base/random.h"
#include "runtime/nn/autograd.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/shape_of_family.h"

namespace herd::test {
namespace {

constexpr std::int64_t kVocab = 29;
constexpr std::int64_t kMask = 26, kGmask = 27, kSop = 28;  // ChatGLM's, at the vocabulary's end
constexpr double kSame = 2e-6;  // of the greatest number: fp32, the same sums in another order

struct Case {
  std::string family;
  bool tied = false;
};
void PrintTo(const Case& c, std::ostream* stream) { *stream << c.family << (c.tied ? " tied" : ""); }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& name : families().names()) {
    all.push_back({name, false});
    all.push_back({name, true});
  }
  return all;
}

using Texts = std::vector<std::vector<std::int64_t>>;

class FamilyContract : public testing::TestWithParam<Case> {
 protected:
  static LoadedModel make(at::ScalarType dtype = at::kFloat) {
    ModelOptions options{.family = GetParam().family, .seed = 4};
    options.config = shape_of_family(GetParam().family,
                                     {.hidden_size = 32, .intermediate_size = 40, .num_hidden_layers = 3, .num_attention_heads = 4,
                                      .num_key_value_heads = 2, .max_position_embeddings = 64, .sliding_window = 3, .initializer_range = 0.2,
                                      .tie_word_embeddings = GetParam().tied});
    LoadedModel loaded;
    auto config = hub_config(options, kVocab);
    if (has_prompts()) config.update({{"bos_token_id", kSop}, {"gmask_token_id", kGmask}, {"mask_token_id", kMask}});
    loaded.config = config.dump();
    loaded.model = make_model_from(loaded.config);
    materialise(*loaded.model, dtype);
    initialise(*loaded.model, 4);
    return loaded;
  }
  /// Whether a part of each text sees itself both ways.
  static bool has_prompts() { return GetParam().family == "chatglm"; }
  /// Where that ends in texts()[2].
  static constexpr std::int64_t kPrompt = 3;
  static Texts texts() {
    Texts all;
    Random random(3, 0);
    for (const int length : {6, 1, 9, 4}) {
      all.emplace_back();
      for (int i = 0; i < length; ++i) all.back().push_back(static_cast<std::int64_t>(random.below(has_prompts() ? kMask : kVocab)));
    }
    if (!has_prompts()) return all;
    const auto prompt = [](auto& text, std::int64_t sop, std::int64_t mask) {
      text[static_cast<std::size_t>(sop) - 1] = mask;
      text[static_cast<std::size_t>(sop)] = kSop;
    };
    prompt(all[0], 4, kGmask), prompt(all[2], kPrompt, kGmask), prompt(all[3], 2, kMask);  // one is all answer
    return all;
  }
  /// All texts in one row, each learnt but for its first token.
  static Batch packed(const Texts& texts) {
    std::vector<std::int64_t> ids;
    for (const auto& text : texts) ids.insert(ids.end(), text.begin(), text.end());
    auto batch = plain_batch({ids});
    batch.segments.clear();
    std::int64_t begin = 0;
    for (const auto& text : texts) {
      const auto length = static_cast<std::int64_t>(text.size());
      batch.segments.push_back({0, begin, begin + length});
      batch.positions_bt[0].narrow(0, begin, length).copy_(at::arange(length, at::kLong));
      batch.labels_bt[0].narrow(0, begin + 1, length - 1).copy_(batch.tokens_bt[0].narrow(0, begin + 1, length - 1));
      begin += length;
    }
    batch.supervised_tokens = batch.labels_bt.ne(kIgnoreLabel).sum().item<std::int64_t>();
    return batch;
  }
  static double deviation(const Tensor& a, const Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }
};

TEST_P(FamilyContract, PartsHaveNamesShapesAndAxes) {
  const auto model = make().model;
  std::set<std::string> names;
  for_each_parameter(*model, [&](const std::string& name, Parameter& p) {
    EXPECT_TRUE(names.insert(name).second) << "twice: " << name;
    EXPECT_EQ(p.name, name);
    EXPECT_EQ(static_cast<std::int64_t>(p.axes.size()), p.value.dim()) << name;
    EXPECT_TRUE(p.value.is_leaf() && p.value.requires_grad()) << name;
  });
  for (std::size_t i = 0; i < model->blocks.size(); ++i)
    EXPECT_TRUE(std::any_of(names.begin(), names.end(), [&](const auto& name) { return name.starts_with(model->block_name(i) + "."); }));
  EXPECT_EQ(names.contains(families().at(GetParam().family).tied_head), !GetParam().tied);
}

TEST_P(FamilyContract, FactsAreTheConfigs) {
  const auto facts = make().model->facts;
  EXPECT_EQ(facts.family, GetParam().family);
  EXPECT_EQ(facts.vocab_size, kVocab);
  EXPECT_EQ(facts.hidden_size, 32);
  EXPECT_EQ(facts.head_dim, 8);
  EXPECT_GE(facts.kv_heads, 1);
  EXPECT_EQ(facts.max_positions, 64);
  EXPECT_EQ(facts.tied, GetParam().tied);
  EXPECT_EQ(facts.init_std, 0.2);
  EXPECT_FALSE(families().at(GetParam().family).architecture.empty());
  EXPECT_FALSE(families().at(GetParam().family).tested_against.empty());
}

TEST_P(FamilyContract, IsBornOnTheMetaDevice) {
  const auto model = make_model_from(make().config);
  for_each_parameter(*model, [](const std::string& name, Parameter& p) { EXPECT_TRUE(p.value.is_meta()) << name; });
}

TEST_P(FamilyContract, PackedPaddedAndAloneAreTheSame) {
  at::NoGradGuard no_grad;
  const auto model = make().model;
  const auto all = texts();
  const auto packed_logits = model->logits(packed(all))[0], padded_logits = model->logits(plain_batch(all));
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto length = static_cast<std::int64_t>(all[i].size());
    const auto alone = model->logits(plain_batch({all[i]}))[0];
    ASSERT_EQ(alone.sizes(), (std::vector<std::int64_t>{length, kVocab}));
    EXPECT_LT(deviation(packed_logits.narrow(0, begin, length), alone), kSame);
    EXPECT_LT(deviation(padded_logits[static_cast<std::int64_t>(i)].narrow(0, 0, length), alone), kSame);
    begin += length;
  }
}

TEST_P(FamilyContract, LooksOnlyBack) {
  at::NoGradGuard no_grad;
  const auto model = make().model;
  auto text = texts()[2];
  const auto before = model->logits(plain_batch({text}))[0];
  text[5] = (text[5] + 1) % kVocab;
  const auto after = model->logits(plain_batch({text}))[0];
  EXPECT_LT(deviation(before.narrow(0, 0, 5), after.narrow(0, 0, 5)), kSame);
  EXPECT_GT(deviation(before.narrow(0, 5, 4), after.narrow(0, 5, 4)), 1e-3);
}

TEST_P(FamilyContract, APromptSeesItselfBothWaysWhereTheFamilySaysSo) {
  at::NoGradGuard no_grad;
  const auto model = make().model;
  auto text = texts()[2];
  const auto before = model->logits(plain_batch({text}))[0];
  text[1] = (text[1] + 1) % kMask;
  const auto after = model->logits(plain_batch({text}))[0];
  const auto first = deviation(before[0], after[0]);
  if (has_prompts()) EXPECT_GT(first, 1e-3);
  else EXPECT_LT(first, kSame);
}

KvText room_for(const CausalLm& model, std::int64_t tokens) {
  KvText text;
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    for (auto* both : {&text.keys, &text.values}) both->emplace_back(at::zeros({tokens, model.facts.kv_heads, model.facts.head_dim}));
  return text;
}

TEST_P(FamilyContract, AnIdWithoutARowIsOneError) {
  const auto model = make().model;
  for (const std::int64_t id : {kVocab, std::int64_t{-1}, std::int64_t{1} << 40}) {
    auto all = texts();
    all[2][7] = id;
    const auto told = [&](const auto& run) {
      EXPECT_THAT(message_of<DataError>(run), testing::AllOf(testing::HasSubstr(": token " + std::to_string(id)), testing::HasSubstr("expected 0 to 28")));
    };
    told([&] { model->logits(plain_batch(all)); });
    told([&] { Pass(*model).forward_backward(packed(all), 1); });
    told([&] { Pass(*model).forward_loss(packed(all)); });
    told([&] {
      auto held = room_for(*model, 16);
      KvCache cache{{&held}};
      model->logits(plain_batch({all[2]}), &cache);
    });
    for (const auto* name : {"ddp", "zero3"})
      told([&] { run_threads(1, [&](Communicator& c) { strategies().at(name).make({*make().model, c, {}})->forward_backward(packed(all), 1, true); }); });
  }
}

TEST_P(FamilyContract, TheCacheIsTheWhole) {
  at::NoGradGuard no_grad;
  const auto model = make().model;
  const auto text = texts()[2];
  const auto whole = model->logits(plain_batch({text}))[0];
  auto held = room_for(*model, 16);
  KvCache cache{{&held}};
  for (std::int64_t begin = 0, count = 4; begin < 9; begin += count, count = 1) {
    auto batch = plain_batch({{text.begin() + begin, text.begin() + begin + count}});
    batch.positions_bt.add_(begin);
    EXPECT_LT(deviation(model->logits(batch, &cache)[0], whole.narrow(0, begin, count)), kSame) << "from " << begin;
    cache.advance({count});
  }
}

TEST_P(FamilyContract, BlockByBlockGradientsAreTheWholeGraphs) {
  const auto batch = packed(texts());
  const auto gradients = [&](const std::function<void(CausalLm&)>& run) {
    const auto model = make().model;
    run(*model);
    std::map<std::string, Tensor> found;
    for_each_parameter(*model, [&](const std::string& name, Parameter& p) { found[name] = p.value.grad(); });
    return found;
  };
  const auto expected = gradients([&](CausalLm& model) {
    const auto t = batch.length();
    const auto loss = at::cross_entropy_loss(model.logits(batch)[0].narrow(0, 0, t - 1), batch.labels_bt[0].narrow(0, 1, t - 1), {}, at::Reduction::Sum);
    backward(loss, at::scalar_tensor(1.0, loss.options()));
  });
  for (const bool recompute : {false, true}) {
    const auto found = gradients([&](CausalLm& model) { Pass(model, recompute).forward_backward(batch, 1); });
    for (const auto& [name, gradient] : expected) {
      ASSERT_TRUE(gradient.defined() && found.at(name).defined()) << name;
      EXPECT_GT(gradient.abs().max().item<double>(), 0) << name << " has no part in the loss";
      EXPECT_LT(deviation(found.at(name), gradient), 10 * kSame) << name;  // sums of ten times as many
    }
  }
}

// Rows kept in parts, gathered for use, on two ranks with a share of the texts each: the same loss, the same update.
TEST_P(FamilyContract, UnderZero3OnTwoRanksItIsOneRanks) {
  const auto all = texts();
  const auto step = [&](Communicator& c, const std::string& strategy, const Texts& mine) {
    const auto model = make().model;
    const auto spread = strategies().at(strategy).make({*model, c, {}});
    auto sum = at::full({1}, spread->forward_backward(packed(mine), 0.1, true), at::kDouble);
    spread->finish_gradients();
    const auto norm = spread->gradient_norm();
    {
      at::NoGradGuard no_grad;
      for (auto& slice : spread->slices()) slice.value.sub_(slice.grad, 0.01);
    }
    spread->values_changed();
    c.all_reduce(sum).wait();
    return std::vector{sum.item<double>(), norm, spread->forward_loss(packed(all))};
  };
  std::vector<double> expected, found;
  run_threads(1, [&](Communicator& c) { expected = step(c, "ddp", all); });
  run_threads(2, [&](Communicator& c) {
    const auto both = step(c, "zero3", c.rank() == 0 ? Texts{all[0], all[1]} : Texts{all[2], all[3]});
    if (c.rank() == 0) found = both;
  });
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(found[i] / expected[i], 1, 1e-5) << i;
  EXPECT_GT(std::abs(expected[2] - expected[0]), 1e-2);  // the update was seen
}

// As `herd plan` runs it: forward and backward where nothing is computed.
TEST_P(FamilyContract, RunsOnTheMetaDevice) {
  const auto model = make_model_from(make().config);
  set_dtype(*model, at::kBFloat16);
  auto batch = packed(texts());
  for (auto* x : {&batch.tokens_bt, &batch.positions_bt}) *x = x->to(at::kMeta);
  Pass(*model).forward_backward(batch, 1);
  for_each_parameter(*model, [](const std::string& name, Parameter& p) { EXPECT_TRUE(p.value.grad().defined() && p.value.grad().is_meta()) << name; });
}

TEST_P(FamilyContract, ASavedFolderComesBackBitByBit) {
  const Scratch scratch;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto saved = make(dtype);
    save_hub_folder(*saved.model, saved.config, scratch / "model", {.replace = true});
    const auto loaded = load_hub_folder(scratch / "model", dtype);
    std::map<std::string, Tensor> expected;
    for_each_parameter(*saved.model, [&](const std::string& name, Parameter& p) { expected[name] = p.value; });
    for_each_parameter(*loaded.model, [&](const std::string& name, Parameter& p) { EXPECT_TRUE(at::equal(p.value, expected.at(name))) << name; });
    at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(loaded.model->logits(packed(texts())), saved.model->logits(packed(texts()))));
  }
}

TEST(Gpt2, ATextLongerThanItsPositionsIsOneError) {
  at::NoGradGuard no_grad;
  const auto model = make_model_from(
      nlohmann::json{{"model_type", "gpt2"}, {"vocab_size", kVocab}, {"n_embd", 16}, {"n_layer", 1}, {"n_head", 2}, {"n_positions", 8}}.dump());
  materialise(*model, at::kFloat);
  initialise(*model, 4);
  EXPECT_EQ(model->logits(plain_batch({std::vector<std::int64_t>(8, 1)})).size(1), 8);
  EXPECT_THAT(message_of<DataError>([&] { model->logits(plain_batch({std::vector<std::int64_t>(9, 1)})); }),
              testing::AllOf(testing::HasSubstr("transformer.wpe.weight: position 8"), testing::HasSubstr("expected 0 to 7")));
}

TEST(ChatGlm, SpecialTokensAreOfItsVocabulary) {
  const auto message = [](const char* key, std::int64_t id) {
    return message_of<ConfigError>([&] {
      make_model_from(nlohmann::json{{"model_type", "chatglm"}, {"vocab_size", kVocab}, {"hidden_size", 32}, {"num_layers", 1},
                                     {"num_attention_heads", 2}, {key, id}}.dump());
    });
  };
  for (const auto* key : {"bos_token_id", "gmask_token_id", "mask_token_id"}) {
    EXPECT_THAT(message(key, kVocab), testing::AllOf(testing::HasSubstr(key), testing::HasSubstr("29"), testing::HasSubstr("below vocab_size, 29")));
    EXPECT_THAT(message(key, -1), testing::AllOf(testing::HasSubstr(key), testing::HasSubstr("-1"), testing::HasSubstr("an integer from 0")));
  }
}

// Prompts of two lengths side by side, then tokens one by one: positions and prefixes are each row's own.
TEST(ChatGlm, TheCacheKnowsEachRowsPrompt) {
  at::NoGradGuard no_grad;
  const auto model = make_model_from(nlohmann::json{{"model_type", "chatglm"}, {"vocab_size", kVocab}, {"hidden_size", 32}, {"num_layers", 2}, {"num_attention_heads", 2},
                                                    {"bos_token_id", kSop}, {"gmask_token_id", kGmask}, {"initializer_range", 0.2}}.dump());
  materialise(*model, at::kFloat);
  initialise(*model, 4);
  const Texts prompts{{5, 6, kGmask, kSop}, {7, 8, 9, 10, 11, kGmask, kSop}}, answers{{1, 2, 3}, {4, 2, 9}};
  auto some = room_for(*model, 16), other = some;
  for (auto* both : {&other.keys, &other.values})
    for (auto& slab : *both) slab.numbers = slab.numbers.clone();
  KvCache cache{{&some, &other}};
  model->logits(plain_batch(prompts), &cache);
  cache.advance({4, 7});
  for (std::size_t i = 0; i < 3; ++i) {
    const auto next = model->logits(plain_batch({{answers[0][i]}, {answers[1][i]}}), &cache);
    cache.advance({1, 1});
    for (std::size_t row = 0; row < 2; ++row) {
      auto text = prompts[row];
      text.insert(text.end(), answers[row].begin(), answers[row].begin() + static_cast<std::ptrdiff_t>(i) + 1);
      const auto whole = model->logits(plain_batch({text}))[0].select(0, -1);
      EXPECT_LT(((next[static_cast<std::int64_t>(row)][0] - whole).abs().max() / whole.abs().max()).item<double>(), kSame) << row << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyContract, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.family + (info.param.tied ? "Tied" : ""); });

}  // namespace
}  // namespace herd::test
