// Rows for new tokens against the definition of their means, in every family; that a run with them trains is tests/parity/extend_test.py.
#include "models/grow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/registry.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/shape_of_family.h"

namespace herd::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

constexpr std::int64_t kRows = 24;

ModelOptions small(const std::string& family) {
  ModelShape shape{.hidden_size = 16,
                   .intermediate_size = 24,
                   .num_hidden_layers = 1,
                   .num_attention_heads = 4,
                   .num_key_value_heads = 2,
                   .vocab_size = kRows};
  ModelOptions options;
  options.family = family;
  options.config = shape_of_family(family, shape);
  return options;
}

Tensors tensors_of(CausalLm& model) {
  Tensors tensors;
  for_each_parameter(model, [&](const std::string& name, Parameter& p) { tensors[name] = p.value.detach(); });
  return tensors;
}

// A folder with random bf16 weights, zeros and ones replaced: a head's bias has them.
Tensors write_model(const ModelOptions& options, const std::filesystem::path& folder) {
  auto made = open_model(options, 0);
  materialise(*made.model, at::kBFloat16);
  for_each_parameter(*made.model, [&](const std::string&, Parameter& p) { p.init = Init::kNormal; });
  initialise(*made.model, 5);
  save_hub_folder(*made.model, made.config, folder, {.replace = true});
  return tensors_of(*made.model);
}

Tensor mean(const Tensor& matrix, const std::vector<std::int32_t>& ids) {
  auto sum = matrix[ids[0]].to(at::kFloat);
  for (std::size_t i = 1; i < ids.size(); ++i) sum = sum + matrix[ids[i]].to(at::kFloat);
  return sum / static_cast<double>(ids.size());
}

Tensor expected_of(const Tensor& stored, const NewRows& rows, at::ScalarType dtype) {
  std::vector<Tensor> all;
  for (std::int64_t row = 0; row < std::max(kRows, rows.end()); ++row)
    all.push_back(row < rows.first || row >= rows.end() ? stored[row].to(dtype)
                                                        : mean(stored, rows.means[static_cast<std::size_t>(row - rows.first)]).to(dtype));
  return at::stack(all);
}

const NewRows kInPadding{.first = 20, .means = {{1, 2, 2}, {3}, {0, 1, 2, 3, 4, 5, 6}}};  // the last row is padding still
const NewRows kBeyond{.first = 20, .means = {{7, 8, 9}, {1}, {2}, {2, 3}, {4}, {5, 6, 7, 8, 9}, {0, 19, 5}, {20}, {21}}};  // two have moved

TEST(NewRows, AreMeansInEveryFamily) {
  for (const auto& family : families().names()) {
    SCOPED_TRACE(family);
    const Scratch folder;
    const auto stored = write_model(small(family), folder / "model");
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const auto& rows : {kInPadding, kBeyond}) {
        auto grown = grow_vocabulary(open_hub_folder(folder / "model", dtype), rows);
        EXPECT_EQ(grown.model->facts.vocab_size, std::max(kRows, rows.end()));
        fill(*grown.model, grown.read);
        const auto found = tensors_of(*grown.model);
        ASSERT_EQ(found.size(), stored.size());
        int longer = 0;
        for (const auto& [name, tensor] : stored) {
          const bool along =
              tensor.size(0) == kRows && (name.find("embed") != std::string::npos || name.find("wte") != std::string::npos ||
                                          name.find("head") != std::string::npos || name.find("output_layer") != std::string::npos);
          longer += along;
          EXPECT_TRUE(at::equal(found.at(name), along ? expected_of(tensor, rows, dtype) : tensor.to(dtype))) << name;
        }
        EXPECT_EQ(longer, grown.model->facts.tied ? 1 : stored.contains("lm_head.bias") ? 3 : 2);
      }
    }
  }
}

TEST(NewRows, AreTheSameInWhateverStretchesTheyAreRead) {
  const Scratch folder;
  write_model(small("llama"), folder / "model");
  const auto grown = grow_vocabulary(open_hub_folder(folder / "model", at::kFloat), kBeyond);
  for_each_parameter(*grown.model, [&](const std::string& name, Parameter& p) {
    const auto whole = at::empty({p.value.numel()}, at::TensorOptions(at::kFloat));
    grown.read(p, 0, whole);
    for (const std::int64_t length : {1, 7, 16, 33, 100}) {
      auto parts = at::full_like(whole, -99);
      for (std::int64_t begin = 0; begin < whole.numel(); begin += length)
        grown.read(p, begin, parts.narrow(0, begin, std::min(length, whole.numel() - begin)));
      EXPECT_TRUE(at::equal(parts, whole)) << name << " by " << length;
    }
  });
}

TEST(NewRows, AreReadWithoutTheRestOfTheMatrix) {
  const Scratch folder;
  write_model(small("llama"), folder / "model");
  auto base = open_hub_folder(folder / "model", at::kFloat);
  std::int64_t elements = 0;
  base.read = [&elements, read = base.read](const Parameter& p, std::int64_t begin, const Tensor& out) {
    elements += out.numel();
    read(p, begin, out);
  };
  const auto grown = grow_vocabulary(std::move(base), kBeyond);
  const auto out = at::empty({16 + 8}, at::TensorOptions(at::kFloat));
  for_each_parameter(*grown.model, [&](const std::string& name, Parameter& p) {
    if (name != "model.embed_tokens.weight") return;
    grown.read(p, 19 * 16 + 8, out);  // half of an old row, and a mean of three
  });
  EXPECT_EQ(elements, 8 + 3 * 16);
}

TEST(NewRows, HaveAFingerprintOfTheirOwn) {
  const Scratch folder;
  write_model(small("llama"), folder / "model");
  const auto fingerprint_with = [&](const NewRows& rows) {
    return grow_vocabulary(open_hub_folder(folder / "model", at::kFloat), rows).fingerprint;
  };
  auto others = kBeyond;
  others.means.back() = {19};
  EXPECT_EQ(fingerprint_with(kBeyond), fingerprint_with(kBeyond));
  EXPECT_NE(fingerprint_with(kBeyond), fingerprint_with(others));
  EXPECT_NE(fingerprint_with(kBeyond), open_hub_folder(folder / "model", at::kFloat).fingerprint);
}

TEST(NewRows, MustBeOfTheModel) {
  const Scratch folder;
  write_model(small("llama"), folder / "model");
  const auto complain = [&](const NewRows& rows) {
    return message_of<ConfigError>([&] { grow_vocabulary(open_hub_folder(folder / "model", at::kFloat), rows); });
  };
  EXPECT_THAT(complain({.first = 24, .means = {{3}, {24}}}), AllOf(HasSubstr("made of ids up to 24"), HasSubstr("has 24 rows")));
  EXPECT_THAT(complain({.first = 25, .means = {{3}}}), HasSubstr("pieces behind id 24"));
}

TEST(Vocabulary, OfAConfigGrowsUnderEveryNameItHas) {
  const auto rows = [](const nlohmann::json& config, std::int64_t tokens) {
    return nlohmann::json::parse(with_vocabulary(config.dump(), tokens));
  };
  const nlohmann::json glm{{"model_type", "chatglm"}, {"padded_vocab_size", 64}, {"vocab_size", 64}};
  EXPECT_EQ(rows(glm, 70), nlohmann::json({{"model_type", "chatglm"}, {"padded_vocab_size", 70}, {"vocab_size", 70}}));
  EXPECT_EQ(rows(glm, 60), glm);
  EXPECT_EQ(rows({{"model_type", "llama"}, {"vocab_size", 3}}, 4)["vocab_size"], 4);
}

}  // namespace
}  // namespace herd::test
