// Log-probabilities of whole texts against all logits of each text alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/scorer.h"
#include "models/model_options.h"
#include "models/registry.h"
#include "peft/registry.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/shape_of_family.h"
#include "tests/support/small_methods.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;

// fp32: the products of a padded batch and of a row alone are summed in another order; log-probabilities here go down to -15.
constexpr double kSame = 2e-5;

std::vector<std::vector<TokenId>> texts(std::initializer_list<int> lengths, const std::vector<TokenId>& in_each = {}) {
  std::vector<std::vector<TokenId>> out;
  Random random(5, 0);
  for (const auto length : lengths) {
    std::vector<TokenId> ids;
    for (int i = 0; i < length; ++i) ids.push_back(static_cast<TokenId>(random.below(kToyVocab - 5)));
    ids.insert(ids.begin() + length / 2, in_each.begin(), in_each.end());
    out.push_back(ids);
  }
  return out;
}

void expect_as_logits(CausalLm& model, const std::vector<std::vector<TokenId>>& given, std::int64_t batch_size) {
  const auto found = score(model, given, 3, batch_size);
  ASSERT_EQ(found.size(), given.size());
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto whole = at::log_softmax(model.logits(plain_batch({{given[i].begin(), given[i].end() - 1}}))[0].to(at::kDouble), -1);
    ASSERT_EQ(found[i].size(), given[i].size() - 1);
    for (std::size_t at = 0; at < found[i].size(); ++at) {
      const auto row = whole[static_cast<std::int64_t>(at)];
      EXPECT_EQ(found[i][at].chosen.id, given[i][at + 1]);
      EXPECT_NEAR(found[i][at].chosen.log_prob, row[given[i][at + 1]].item<double>(), kSame) << "text " << i << ", token " << at + 1;
      ASSERT_EQ(found[i][at].top.size(), 3u);
      EXPECT_NEAR(found[i][at].top[0].log_prob, row.max().item<double>(), kSame);
    }
  }
}

class EveryFamily : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<CausalLm> model() const {
    ModelOptions options{.family = GetParam()};
    options.config = shape_of_family(GetParam(), {.hidden_size = 32, .intermediate_size = 40, .num_hidden_layers = 2, .num_attention_heads = 4,
                                                  .num_key_value_heads = 2, .max_position_embeddings = 64, .sliding_window = 7, .initializer_range = 0.3});
    auto config = hub_config(options, kToyVocab);
    if (GetParam() == "chatglm") config.update({{"bos_token_id", kToyVocab - 1}, {"gmask_token_id", kToyVocab - 4}});
    auto model = make_model(config);
    materialise(*model, at::kFloat);
    initialise(*model, 3);
    return model;
  }
  // ChatGLM's texts hold the marks that its mask goes by.
  std::vector<std::vector<TokenId>> some(int context = 64) const {
    const auto marks = GetParam() == "chatglm" ? std::vector<TokenId>{kToyVocab - 4, kToyVocab - 1} : std::vector<TokenId>{};
    return texts({3, 20, 9, 2, context + 1 - static_cast<int>(marks.size())}, marks);  // the last is one token longer than the context
  }
};
INSTANTIATE_TEST_SUITE_P(Scorer, EveryFamily, testing::ValuesIn(families().names()), [](const auto& info) { return info.param; });

TEST_P(EveryFamily, IsItsLogits) {
  const auto model = this->model();
  for (const std::int64_t batch_size : {1, 2, 5}) expect_as_logits(*model, some(), batch_size);
}

TEST_P(EveryFamily, BehindAnAdapterToo) {
  for (const auto* method : {"lora", "prompt", "prefix"}) {
    SCOPED_TRACE(method);
    const auto model = this->model();
    const auto bare = score(*model, some(), 0, 2);
    attach(*model, small_method(method, GetParam()), 4);
    shake(*model);
    const auto given = some(static_cast<int>(model->facts.max_positions));
    expect_as_logits(*model, given, 2);
    EXPECT_GT(std::abs(score(*model, given, 0, 2)[1].front().chosen.log_prob - bare[1].front().chosen.log_prob), 10 * kSame);
  }
}

// The head is asked for 128 positions at a time.
TEST(Scorer, ALongTextGoesByStretches) {
  const auto model = toy_model(3, {{"max_position_embeddings", 300}});
  expect_as_logits(*model, texts({301, 129, 130, 2}), 2);
}

TEST(Scorer, TextsOfLikeLengthGoSideBySide) {
  EXPECT_THAT(batches_by_length({3, 9, 3, 7, 9}, 2), ElementsAre(ElementsAre(1, 4), ElementsAre(3, 0), ElementsAre(2)));
  EXPECT_TRUE(batches_by_length({}, 2).empty());
}

TEST(Scorer, RefusesWhatHasNoScore) {
  const auto model = toy_model(3);
  EXPECT_THAT(message_of<DataError>([&] { score(*model, texts({5, 1}), 0, 2); }), testing::AllOf(HasSubstr("text 2"), HasSubstr("1 tokens")));
  EXPECT_THAT(message_of<DataError>([&] { score(*model, texts({66}), 0, 2); }), testing::AllOf(HasSubstr("66 tokens"), HasSubstr("at most 65")));
  EXPECT_NO_THROW(score(*model, texts({65}), 0, 2));
  EXPECT_THROW(score(*model, {{1, kToyVocab}}, 0, 2), DataError);
  EXPECT_THROW(score(*model, {{-1, 2}}, 0, 2), DataError);
  EXPECT_THROW(score(*model, texts({5}), 0, 0), ConfigError);
  EXPECT_TRUE(score(*model, {}, 0, 2).empty());
}

TEST(Scorer, LeavesTrainingAsItWas) {
  const auto model = toy_model(3);
  model->random->training = true;
  score(*model, texts({5}), 0, 1);
  EXPECT_TRUE(model->random->training);
  EXPECT_TRUE(at::GradMode::is_enabled());
}

}  // namespace
}  // namespace herd::test
