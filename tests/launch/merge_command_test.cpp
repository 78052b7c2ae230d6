// `herd merge` as one calls it: onto a base as it was kept in training, measured, bounded, or nothing at all.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/hub.h"
#include "models/registry.h"
#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/base/exit_codes.h"
#include "runtime/nn/quantise.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const json kConfig{{"model_type", "llama"}, {"vocab_size", 97}, {"hidden_size", 32}, {"intermediate_size", 64}, {"num_hidden_layers", 2},
                   {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"max_position_embeddings", 64}, {"initializer_range", 0.2}};

class MergeCommand : public test::CommandTest {
 protected:
  MergeCommand() : CommandTest("merge") {
    auto model = make_model(kConfig);
    materialise(*model, at::kFloat);
    initialise(*model, 5);
    save_hub_folder(*model, kConfig.dump(), scratch_ / "base");
    fingerprint_ = load_hub_folder(base(), at::kFloat).fingerprint;
  }
  std::string base() const { return (scratch_ / "base").string(); }
  std::string adapter() const { return (scratch_ / "adapter").string(); }
  std::string merged() const { return (scratch_ / "merged").string(); }

  // An adapter that training has moved.
  void write_adapter(const PeftOptions& options, const std::string& base_quantization = "") {
    const auto loaded = load_hub_folder(base(), at::kFloat);
    const auto whole = attach(*loaded.model, options, 1);
    const at::NoGradGuard no_grad;
    for (auto* p : trained_parameters(*loaded.model))
      p->value.add_(0.2 * at::sin(at::arange(p->value.numel(), at::kFloat) * 0.7).view_as(p->value));
    save_adapter(*loaded.model, whole, base(), {.base_fingerprint = fingerprint_, .base_quantization = base_quantization}, adapter());
  }
  int merge(std::vector<std::string> more = {}) {
    fs::remove_all(merged());
    more.insert(more.begin(), {"--model", base(), "--adapter", adapter(), "--output", merged()});
    return herd(more);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(scratch_.path())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  // Of base, kept so, and adapter.
  Tensor unmerged(const std::optional<QuantOptions>& storage) const {
    const auto loaded = load_hub_folder(base(), at::kFloat, "auto", storage);
    attach_adapter(*loaded.model, adapter(), {base(), loaded.fingerprint});
    return probe_logits(*loaded.model, probe_batch(*loaded.model));
  }
  Tensor in_the_folder() const {
    const auto loaded = load_hub_folder(merged(), at::kFloat);
    return probe_logits(*loaded.model, probe_batch(*loaded.model));
  }

  std::string fingerprint_;
};

PeftOptions options_of(const std::string& method) {
  PeftOptions o{.method = method};
  if (method == "lora") o.target_modules = {{"all-linear"}, true};
  return o;
}

TEST_F(MergeCommand, MakesADenseModelOfAQuantisedBase) {
  for (const auto* method : {"lora", "ia3", "adalora"}) {
    write_adapter(options_of(method));
    for (const auto& storage : weight_storages().names()) {
      if (storage == "gptq") {  // a folder's own, and no wish: tests/e2e/gptq_test.py
        EXPECT_NE(merge({"--quantization", storage}), kExitSuccess);
        EXPECT_THAT(err_, HasSubstr("herd quantize"));
        continue;
      }
      ASSERT_EQ(merge({"--quantization", storage, "--dtype", "fp32"}), kExitSuccess) << err_;
      EXPECT_THAT(out_, AllOf(HasSubstr("the base was kept as " + storage), HasSubstr(": 14 matrices dequantised"))) << method;
      const auto kept = unmerged(QuantOptions{.method = storage}), found = in_the_folder(), dense = unmerged({});
      const auto off = (found - kept).abs();
      const auto greatest = off.max().item<double>(), of_dense = (found - dense).abs().max().item<double>();
      EXPECT_LT(greatest, (storage == "int8" ? 0.15 : 1e-4) * kept.abs().max().item<double>()) << method << " on " << storage;  // int8 rounds inputs
      if (storage != "int8") {
        EXPECT_GT(of_dense, 100 * greatest) << "the base's own values were merged into";
      }
      EXPECT_THAT(out_, HasSubstr(fmt::format("greatest logit deviation {:.3g} of ", greatest)));
      EXPECT_THAT(out_, HasSubstr(fmt::format("mean {:.2g}\n", off.mean().item<double>())));
      for (const auto& name : open_hub_weights(merged()).names()) EXPECT_FALSE(name.ends_with(".scales")) << name;
    }
  }
}

TEST_F(MergeCommand, KeepsTheBaseAsTrainingDid) {
  const QuantOptions trained{.method = "nf4", .block_size = 32, .double_quant = false, .skip_modules = {"down_proj"}};
  write_adapter(options_of("lora"), quantisation_text(trained));
  ASSERT_EQ(merge({"--dtype", "fp32"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, HasSubstr("the base was kept as nf4 in blocks of 32: 12 matrices dequantised"));
  const auto expected = unmerged(trained);
  EXPECT_LT(deviation(expected, in_the_folder()).relative(), 1e-4);
  EXPECT_GT(deviation(unmerged(QuantOptions{.method = "nf4"}), in_the_folder()).relative(), 1e-2);
  ASSERT_EQ(merge({"--dtype", "fp32", "--quantization", "nf4"}), kExitSuccess) << err_;  // the same storage is training's own
  EXPECT_LT(deviation(expected, in_the_folder()).relative(), 1e-4);
  ASSERT_EQ(merge({"--dtype", "fp32", "--quantization", "dense"}), kExitSuccess) << err_;
  EXPECT_THAT(err_, AllOf(HasSubstr("was trained on a base kept as nf4 in blocks of 32"), HasSubstr("into one kept as dense")));
  EXPECT_THAT(out_, Not(HasSubstr("dequantised")));
  EXPECT_LT(deviation(unmerged({}), in_the_folder()).relative(), 1e-4);
}

TEST_F(MergeCommand, TellsWhatRoundingCosts) {
  write_adapter(options_of("lora"));
  ASSERT_EQ(merge({"--dtype", "bf16", "--quantization", "nf4"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("written as bf16"), HasSubstr("mean "), HasSubstr("Kullback-Leibler"), HasSubstr("the adapter itself moves logits by"),
                          testing::ContainsRegex("rounding to bf16 costs model\\.layers\\.[^ ]+ most: 0\\.1[0-9]* % of its norm")));
  ASSERT_EQ(merge({"--dtype", "fp32"}), kExitSuccess) << err_;  // a dense base is measured as well
  EXPECT_THAT(out_, AllOf(HasSubstr("greatest logit deviation"), HasSubstr("bound 0.0001"), Not(HasSubstr("rounding to"))));
}

TEST_F(MergeCommand, BeyondTheBoundNothingIsWritten) {
  write_adapter(options_of("lora"));
  const auto before = files();
  EXPECT_EQ(merge({"--quantization", "nf4", "--dtype", "bf16", "--max-deviation", "1e-6"}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("merging " + adapter() + " into " + base()), HasSubstr("at most 1e-06 relative"), HasSubstr("nothing was written"),
                          HasSubstr("--max-deviation")));
  EXPECT_EQ(files(), before);
  EXPECT_EQ(merge({"--quantization", "nf5"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("nf4"));
  EXPECT_EQ(merge({"--max-deviation", "-1"}), kExitUsage);
  write_adapter(options_of("lora"), "{method: nf4, block_size: 48}");
  EXPECT_EQ(merge(), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("herd.json"), HasSubstr("base_quantization"), HasSubstr("power of two")));
  EXPECT_EQ(files(), before);
}

TEST_F(MergeCommand, WhatNoWeightCanStandForIsSaidAtOnceWithWhatToDo) {
  const auto base_weights = scratch_ / "base/model.safetensors";
  for (const auto& [name, method] : peft_methods()) {
    if (method.peft_type.empty() || method.merges) continue;
    write_adapter(options_of(name));
    const auto before = files();
    fs::rename(base_weights, scratch_ / "aside");  // nobody asks for them
    EXPECT_EQ(merge({"--quantization", "nf4"}), kExitUsage) << name;
    fs::rename(scratch_ / "aside", base_weights);
    EXPECT_THAT(err_, AllOf(HasSubstr("merging " + adapter()), HasSubstr("an adapter of " + name + ": "), HasSubstr("of lora, ia3, adalora"),
                            HasSubstr("herd generate --model BASE --adapter " + adapter())));
    EXPECT_EQ(files(), before);
  }
}

}  // namespace
}  // namespace herd
