#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "peft/prompt_side.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/base/file.h"
#include "runtime/tensor/safetensors.h"
#include "runtime/tensor/torch_file.h"
#include "runtime/tensor/weights.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"
#include "tests/support/toy_model.h"

namespace herd::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

PeftOptions options() {
  PeftOptions o{.method = "lora", .r = 3, .alpha = 7.5, .init = AdapterInit::kRandom};
  o.target_modules = {{"gate_proj", "q_proj"}, false};
  return o;
}

std::unique_ptr<CausalLm> adapted(const PeftOptions& o, std::uint64_t seed = 5, at::ScalarType dtype = at::kFloat) {
  auto model = toy_model(1, {}, dtype);
  attach(*model, o, seed);
  return model;
}

Tensor logits(CausalLm& model) { return probe_logits(model, probe_batch(model)); }

// A folder with an adapter, and changes to it.
struct Saved {
  Scratch scratch;
  fs::path folder = scratch / "adapter";
  explicit Saved(const PeftOptions& o = options(), const Provenance& provenance = {}) {
    save_adapter(*adapted(o), o, "base", provenance, folder);
  }

  void change_config(const json& changes) const {
    auto config = json::parse(read_file(folder / "adapter_config.json"));
    config.update(changes);
    write_file_atomically(folder / "adapter_config.json", config.dump());
  }
  void change_tensors(const std::function<void(NamedTensors&)>& change) const {
    const auto weights = open_weights(folder, "adapter_model");
    NamedTensors tensors;
    for (const auto& name : weights.names()) tensors.emplace_back(name, weights.view(name).clone());
    change(tensors);
    write_safetensors(folder / "adapter_model.safetensors", tensors);
  }
  std::string error(const AdapterBase& base = {}) const {
    return outcome_of<Error>([&] { attach_adapter(*toy_model(), folder, base); });
  }
};

TEST(AdapterFolder, HoldsWhatPeftWritesAndComesBack) {
  auto o = options();
  o.use_rslora = true;
  o.dropout = 0.125;
  o.target_modules = {{".*\\.(q|v)_proj"}, true};
  const Saved saved(o, {.template_name = "alpaca", .template_fingerprint = "t", .tokenizer_fingerprint = "k", .base_fingerprint = "b"});
  const auto config = json::parse(read_file(saved.folder / "adapter_config.json"));
  const json expected{{"peft_type", "LORA"},
                      {"task_type", "CAUSAL_LM"},
                      {"r", 3},
                      {"lora_alpha", 7.5},
                      {"lora_dropout", 0.125},
                      {"use_rslora", true},
                      {"bias", "none"},
                      {"target_modules", ".*\\.(q|v)_proj"},
                      {"modules_to_save", nullptr},
                      {"base_model_name_or_path", "base"},
                      {"fan_in_fan_out", false},
                      {"inference_mode", true}};
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(config[key], value) << key;
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(saved.folder)) files.push_back(entry.path().filename());
  EXPECT_THAT(files, testing::UnorderedElementsAre("adapter_config.json", "adapter_model.safetensors", "herd.json"));
  EXPECT_EQ(std::distance(fs::directory_iterator(saved.scratch.path()), {}), 1);  // nothing beside it
  auto read = read_adapter_options(saved.folder);
  read.init = o.init;  // says how an adapter began, not what it is
  EXPECT_EQ(read, o);
  EXPECT_EQ(read_provenance(saved.folder)->template_name, "alpaca");
}

TEST(AdapterFolder, AsATorchFileIsTheSame) {
  const Saved saved;
  const auto values = [&] {
    auto model = toy_model();
    attach_adapter(*model, saved.folder, {});
    std::map<std::string, Tensor> all;
    for_each_parameter(*model, [&](const std::string&, Parameter& p) { all[p.name] = p.value.detach().clone(); });
    return all;
  };
  const auto expected = values();
  NamedTensors tensors;
  const auto weights = open_weights(saved.folder, "adapter_model");
  for (const auto& name : weights.names()) tensors.emplace_back(name, weights.view(name).clone());
  stream_torch_file(saved.folder / "adapter_model.bin", to_write(tensors));
  fs::remove(saved.folder / "adapter_model.safetensors");
  for (const auto& [name, value] : values()) EXPECT_TRUE(at::equal(value, expected.at(name))) << name;
}

TEST(AdapterFolder, TakesThePlaceOfAnOlderOne) {
  const Saved saved;
  const auto newer = adapted(options(), 77);
  save_adapter(*newer, options(), "base", {}, saved.folder);
  const auto model = toy_model();
  attach_adapter(*model, saved.folder, {});
  EXPECT_TRUE(at::equal(logits(*model), logits(*newer)));
  EXPECT_EQ(std::distance(fs::directory_iterator(saved.scratch.path()), {}), 1);
}

TEST(AdapterFolder, TensorsThatDoNotFitAreListedByName) {
  const Saved saved;
  saved.change_tensors([](NamedTensors& tensors) {
    tensors[0].first = "base_model.model.model.layers.7.mlp.gate_proj.lora_A.weight";
    tensors[1].second = at::zeros({40, 4});
  });
  EXPECT_THAT(saved.error(),
              AllOf(HasSubstr("1 missing: base_model.model.model.layers.0.mlp.gate_proj.lora_A.weight"),
                    HasSubstr("1 unexpected: base_model.model.model.layers.7.mlp.gate_proj.lora_A.weight"),
                    HasSubstr("1 misshapen: base_model.model.model.layers.0.mlp.gate_proj.lora_B.weight [40, 4], not [40, 3]")));
}

// PEFT adds the base's own head or embedding where it thinks that they may have changed.
TEST(AdapterFolder, ACopyOfABaseWeightIsTakenOnlyAsSuch) {
  const auto model = toy_model();
  Tensor embedding;
  for_each_parameter(*model, [&](const std::string& name, Parameter& p) {
    if (name == "model.embed_tokens.weight") embedding = p.value.detach().clone();
  });
  for (const auto* name : {"base_model.model.model.embed_tokens.weight", "base_model.model.model.embed_tokens.base_layer.weight"}) {
    const Saved saved;
    saved.change_tensors([&](NamedTensors& tensors) { tensors.emplace_back(name, embedding); });
    EXPECT_EQ(saved.error(), kNoError);
    saved.change_tensors([&](NamedTensors& tensors) {
      for (auto& [stored, x] : tensors)
        if (stored == name) x[0][0] += 1;
    });
    EXPECT_THAT(saved.error(), HasSubstr(std::string("1 unexpected: ") + name));
  }
}

TEST(AdapterFolder, WhatHerdDoesNotComputeIsRefusedByName) {
  const auto refusal = [](const json& changes) {
    const Saved saved;
    saved.change_config(changes);
    return saved.error();
  };
  EXPECT_THAT(refusal({{"peft_type", "VERA"}}), AllOf(HasSubstr("'peft_type'"), HasSubstr("VERA"), HasSubstr("LORA, IA3")));
  EXPECT_THAT(refusal({{"lora_bias", true}}), HasSubstr("'lora_bias'"));
  EXPECT_THAT(refusal({{"rank_pattern", {{"q_proj", "two"}}}}), HasSubstr("'rank_pattern'"));
  EXPECT_THAT(refusal({{"layers_to_transform", {"one"}}}), HasSubstr("'layers_to_transform'"));
  EXPECT_THAT(refusal({{"use_quantum", true}}), HasSubstr("'use_quantum'"));
  EXPECT_THAT(refusal({{"init_lora_weights", "corda"}}), HasSubstr("'init_lora_weights'"));
  EXPECT_THAT(refusal({{"task_type", "SEQ_CLS"}}), HasSubstr("'task_type'"));
  EXPECT_THAT(refusal({{"r", "eight"}}), HasSubstr("'r'"));
  EXPECT_EQ(refusal({{"use_quantum", nullptr}, {"init_lora_weights", "gaussian"}, {"revision", "main"}, {"peft_version", "9"}}),
            kNoError);
}

// What tools of 2023 left: few keys, no type, a .bin, the adapter's own name inside the tensors' or no prefix before them.
TEST(AdapterFolder, Of2023IsUnderstood) {
  const Saved saved;
  const auto model = toy_model();
  attach_adapter(*model, saved.folder, {});
  const auto expected = logits(*model);
  write_file_atomically(saved.folder / "adapter_config.json",
                        R"({"r": 3, "lora_alpha": 7.5, "target_modules": ["q_proj", "gate_proj"], "merge_weights": true, "enable_lora": null})");
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"", ""}, {".weight", ".default.weight"}, {"base_model.model.", ""}}) {
    const auto weights = open_weights(saved.folder, "adapter_model");
    NamedTensors tensors;
    for (auto name : weights.names()) {
      const auto value = weights.view(name).clone();
      if (const auto at = name.find(from); !from.empty() && at != std::string::npos) name.replace(at, from.size(), to);
      tensors.emplace_back(name, value);
    }
    const Scratch scratch;
    fs::copy(saved.folder / "adapter_config.json", scratch / "adapter_config.json");
    stream_torch_file(scratch / "adapter_model.bin", to_write(tensors));
    const auto again = toy_model();
    EXPECT_EQ(attach_adapter(*again, scratch.path(), {}).method, "lora");
    EXPECT_TRUE(at::equal(logits(*again), expected)) << to;
  }
}

TEST(AdapterFolder, OfBottlenecksSaysWhichKind) {
  for (const std::string method : {"adapter_h", "adapter_p", "adapter_parallel"}) {
    const PeftOptions o{.method = method, .bottleneck_size = 4, .non_linearity = Activation::kGelu, .scaling = 0.5};
    const Saved saved(o);
    const auto config = json::parse(read_file(saved.folder / "adapter_config.json"));
    EXPECT_EQ(config["peft_type"], "BOTTLENECK");
    EXPECT_EQ(config["use_parallel_adapter"], method == "adapter_parallel");
    EXPECT_EQ(config["use_adapterp"], method == "adapter_p");
    const auto read = read_adapter_options(saved.folder);
    EXPECT_EQ(read.method, method);
    EXPECT_EQ(read.scaling, 0.5);
    EXPECT_EQ(read.non_linearity, Activation::kGelu);
    EXPECT_EQ(saved.error(), kNoError);
  }
}

// The tensors fit; the kind of adapter does not.
TEST(AdapterFolder, OfAnotherFamilyOrMethodListsItsTensors) {
  const Saved saved;
  const nlohmann::json bloom{{"model_type", "bloom"}, {"vocab_size", kToyVocab}, {"hidden_size", 24}, {"n_layer", 2}, {"n_head", 4}};
  auto other = make_model(bloom);
  materialise(*other, at::kFloat);
  EXPECT_THAT(message_of<ConfigError>([&] { attach_adapter(*other, saved.folder, {}); }),
              AllOf(HasSubstr("names no linear layer of this bloom"), HasSubstr("query_key_value")));
  saved.change_config({{"peft_type", "IA3"}, {"r", nullptr}, {"lora_alpha", nullptr}, {"lora_dropout", nullptr}, {"bias", nullptr},
                       {"megatron_core", nullptr}, {"qalora_group_size", nullptr}, {"feedforward_modules", json::array({"down_proj"})}});
  EXPECT_THAT(saved.error(), HasSubstr("'down_proj', which names none of the targets"));
  saved.change_config({{"feedforward_modules", json::array({"gate_proj"})}});
  EXPECT_THAT(saved.error(), AllOf(HasSubstr("4 missing: base_model.model.model.layers.0."), HasSubstr("8 unexpected"), HasSubstr("ia3_l")));
}

TEST(AdapterFolder, OfAnotherBaseIsRefused) {
  const Saved saved(options(), {.base_fingerprint = "91ab91ab91ab91ab"});
  EXPECT_THAT(saved.error({"other", "07fe07fe07fe07fe"}), AllOf(HasSubstr("07fe07fe07fe"), HasSubstr("91ab91ab91ab"), HasSubstr("other")));
  EXPECT_EQ(saved.error({"moved", "91ab91ab91ab91ab"}), kNoError);
  EXPECT_EQ(saved.error({"elsewhere", ""}), kNoError);  // a warning
  const Scratch scratch;
  const auto narrow = toy_model(1, {{"hidden_size", 16}});
  EXPECT_THAT(message_of<ShapeError>([&] { attach_adapter(*narrow, saved.folder, {}); }), HasSubstr("is this the base model"));
}

TEST(AdapterFolder, ThatIsBrokenIsAnError) {
  const Saved saved;
  const auto file = saved.folder / "adapter_model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  EXPECT_THAT(saved.error(), HasSubstr("adapter_model.safetensors"));
  write_file_atomically(saved.folder / "adapter_config.json", "{");
  EXPECT_THAT(saved.error(), HasSubstr("no JSON object"));
  EXPECT_THROW(attach_adapter(*toy_model(), saved.scratch / "nowhere", {}), IoError);
  EXPECT_THROW(save_adapter(*toy_model(), PeftOptions{}, "", {}, saved.folder), ConfigError);
}

TEST(Merge, GivesOnePlainModelWithTheSameLogits) {
  auto o = options();
  o.bias = TrainedBiases::kAll;
  const auto model = adapted(o), base = toy_model();
  const auto before = logits(*model);
  EXPECT_EQ(merge_adapter(*model).updated, 4);
  const auto found = deviation(before, logits(*model));
  EXPECT_LT(found.relative(), merge_bound(*model, at::kFloat));
  EXPECT_GT(deviation(before, logits(*base)).relative(), 100 * merge_bound(*model, at::kFloat));  // the adapter does something
  std::vector<std::string> names, base_names;
  for_each_parameter(*model, [&](const std::string&, Parameter& p) { names.push_back(p.name); });
  for_each_parameter(*base, [&](const std::string&, Parameter& p) { base_names.push_back(p.name); });
  EXPECT_EQ(names, base_names);
}

// W + s·B·A by hand, for the one layer.
TEST(Merge, AddsTheScaledProduct) {
  const auto model = adapted(options());
  Linear* q = nullptr;
  for_each_linear(*model, [&](const std::string& name, Linear& linear) {
    if (name == "model.layers.1.self_attn.q_proj") q = &linear;
  });
  std::map<std::string, Tensor> factors;
  for (const auto* p : trained_parameters(*model)) factors[p->name] = p->value.detach().to(at::kDouble);
  const std::string layer = "base_model.model.model.layers.1.self_attn.q_proj.";
  const auto expected = q->weight().value.detach().to(at::kDouble) +
                        2.5 * at::matmul(factors[layer + "lora_B.weight"], factors[layer + "lora_A.weight"]);
  merge_adapter(*model);
  EXPECT_TRUE(at::allclose(q->weight().value.detach().to(at::kDouble), expected, 1e-6, 1e-6));
}

TEST(Prompt, BeginsAsATextsTokensRepeated) {
  const auto model = toy_model();
  attach(*model, {.method = "prompt", .num_virtual_tokens = 5}, 1);
  const std::vector<std::int32_t> ids{3, 7};
  start_from_tokens(*model, ids, {});
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(model->side->produce(), model->look_up(at::tensor({3, 7, 3, 7, 3}, at::kLong).unsqueeze(0))[0]));
  EXPECT_THAT(message_of<ConfigError>([&] { start_from_tokens(*model, {}, {}); }), HasSubstr("a text of no tokens"));
}

TEST(Prompt, TakesAPartOfTheContext) {
  const auto model = toy_model();
  attach(*model, {.method = "prefix", .num_virtual_tokens = 10}, 1);
  EXPECT_EQ(model->facts.max_positions, 54);
  EXPECT_THAT(message_of<ConfigError>([] { attach(*toy_model(), {.method = "prompt", .num_virtual_tokens = 64}, 1); }),
              AllOf(HasSubstr("peft.num_virtual_tokens"), HasSubstr("less than the model's context of 64")));
}

// Rounding all weights to bf16 stays within the bound that is stated for it, and not far below; a forgotten layer does not.
TEST(Merge, BoundHoldsForRoundedWeights) {
  const auto adapter = adapted(options());
  const auto before = logits(*adapter);
  merge_adapter(*adapter);
  const auto bound = merge_bound(*adapter, at::kBFloat16);
  for_each_parameter(*adapter, [](const std::string&, Parameter& p) {
    at::NoGradGuard no_grad;
    p.value.copy_(p.value.to(at::kBFloat16).to(at::kFloat));
  });
  const auto rounded = deviation(before, logits(*adapter)).relative();
  EXPECT_LT(rounded, bound);
  EXPECT_GT(rounded, bound / 20);
}

// ‖rounded − exact‖ over ‖exact‖ and over ‖exact − base‖, by hand, of the layer where the latter is greatest.
TEST(Merge, TellsWhatRoundingCosts) {
  const auto model = adapted(options());
  std::map<std::string, Tensor> base, exact;
  for_each_linear(*model, [&](const std::string& name, Linear& linear) {
    if (linear.slot()) base[name] = linear.storage().dense().to(at::kDouble);
  });
  const auto again = adapted(options());
  merge_adapter(*again);
  for_each_linear(*again, [&](const std::string& name, Linear& linear) { exact[name] = linear.storage().dense().to(at::kDouble); });
  double of_update = 0, of_matrix = 0;
  std::string layer;
  for (const auto& [name, before] : base) {
    const auto x = exact.at(name);
    const auto lost = (x.to(at::kBFloat16).to(at::kDouble) - x).norm().item<double>();
    if (const auto share = lost / (x - before).norm().item<double>(); share > of_update)
      of_update = share, of_matrix = lost / x.norm().item<double>(), layer = name;
  }
  const auto found = merge_adapter(*model, at::kBFloat16).rounding;
  EXPECT_EQ(found.layer, layer);
  EXPECT_NEAR(found.of_update, of_update, 1e-4 * of_update);
  EXPECT_NEAR(found.of_matrix, of_matrix, 1e-4 * of_matrix);
  EXPECT_LT(of_matrix, 0x1p-9);
  for_each_linear(*model, [&](const std::string& name, Linear& linear) {
    const auto w = linear.storage().dense();
    if (base.contains(name)) {
      EXPECT_TRUE(at::equal(w, w.to(at::kBFloat16).to(at::kFloat))) << name;
    }
  });
}

TEST(Merge, MeasuresTheNextTokensDistribution) {
  const auto a = at::tensor({1.0, 2.0, 0.5, 0.0, 0.0, 3.0}, at::kFloat).view({1, 2, 3}), b = at::tensor({1.5, 1.0, 0.5, 0.0, 0.0, 3.0}, at::kFloat).view({1, 2, 3});
  const auto found = deviation(a, b);
  EXPECT_DOUBLE_EQ(found.greatest, 1);
  EXPECT_DOUBLE_EQ(found.mean, 0.25);
  EXPECT_DOUBLE_EQ(found.scale, 3);
  EXPECT_DOUBLE_EQ(found.same_choice, 0.5);
  double expected = 0, sum_a = 0, sum_b = 0;
  const double x[] = {1, 2, 0.5}, y[] = {1.5, 1, 0.5};
  for (int i = 0; i < 3; ++i) sum_a += std::exp(x[i]), sum_b += std::exp(y[i]);
  for (int i = 0; i < 3; ++i) expected += std::exp(x[i]) / sum_a * (x[i] - std::log(sum_a) - y[i] + std::log(sum_b));
  EXPECT_NEAR(found.divergence, expected / 2, 1e-12);
}

}  // namespace
}  // namespace herd::test
