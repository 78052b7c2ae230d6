// `herd config` as one calls it. The oracle is the text written out here and a RunConfig filled by hand.
#include "launch/config_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/command_line.h"
#include "launch/run_config.h"
#include "tests/support/errors.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using test::herd;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// The recipe of the house's style page, as far as its keys exist.
constexpr const char* kRecipe = R"(include: [models/llama, peft/lora, parallel/ddp]
model: {path: /models/llama-7b, dtype: bf16}
peft:  {r: 4, alpha: 32, target_modules: [q_proj, v_proj, o_proj]}
data:  {sets: [alpaca.json, belle.jsonl], template: alpaca, max_tokens: 256}
train: {epochs: 2, learning_rate: 3e-4, schedule: linear, warmup: 0.05, global_batch_size: 128, micro_batch_size: 2}
checkpoint: {every: 200 steps, keep: 5}
)";

// `key: value # origin` of a line of what herd config prints.
std::string line_of(const std::string& printed, const std::string& key) {
  const auto at = printed.find("  " + key + ":");
  auto text = at == std::string::npos ? "" : printed.substr(at + 2, printed.find('\n', at) - at - 2);
  if (const auto spaces = text.find("  "); spaces != std::string::npos) text.replace(spaces, text.find('#') - spaces, " ");
  return text;
}

class ConfigCommand : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(scratch_ / "r.yaml") << text;
    return (scratch_ / "r.yaml").string();
  }
  test::Scratch scratch_;
};

TEST_F(ConfigCommand, RecipeBecomesOptions) {
  RunConfig expected;
  expected.model.path = "/models/llama-7b";
  expected.model.family = "llama";
  expected.model.dtype = Precision::kBf16;
  expected.peft.method = "lora";
  expected.peft.r = 4;
  expected.peft.alpha = 32;
  expected.peft.dropout = 0.05;
  expected.peft.target_modules = {{"q_proj", "v_proj", "o_proj"}, false};
  expected.data.sets = {DataSet("alpaca.json"), DataSet("belle.jsonl")};
  expected.data.max_tokens = 256;
  expected.train.epochs = 2;
  expected.train.learning_rate = 3e-4;
  expected.train.schedule = ScheduleKind::kLinear;
  expected.train.warmup = 0.05;
  expected.train.global_batch_size = 128;
  expected.train.micro_batch_size = 2;
  expected.checkpoint.every = Every::steps(200);
  expected.checkpoint.keep = 5;
  expected.checkpoint.resume = "auto";
  expected.data.seed = 7;
  const auto run = resolve_run({.file = write(kRecipe), .overrides = {"resume=auto", "data.seed=7"}});
  EXPECT_EQ(run.config, expected);
  EXPECT_NO_THROW(run.require_trainable());
}

TEST_F(ConfigCommand, WhatARunStoresLoadsBackEqual) {
  const auto run = resolve_run(
      {.file = write(kRecipe),
       .overrides = {
           "model.path=\"\"",
           "model.tokenizer=/t",
           "model.config={hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, rope_theta: 5e5}"}});
  run.save(scratch_ / "config.yaml");
  const auto again = resolve_run({.file = scratch_ / "config.yaml", .overrides = {}, .folders = {}});
  EXPECT_EQ(again.config, run.config);
  EXPECT_EQ(to_yaml(again.tree, false), to_yaml(run.tree, false));
}

TEST_F(ConfigCommand, PrintsEachValueWithItsOrigin) {
  const auto recipe = write(kRecipe);
  const auto output = herd({"config", recipe, "train.epochs=9"});
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(line_of(output.out, "epochs"), "epochs: 9 # command line");
  EXPECT_EQ(line_of(output.out, "family"), "family: llama # include models/llama:2:17");
  EXPECT_EQ(line_of(output.out, "r"), "r: 4 # " + recipe + ":3:12");
  EXPECT_EQ(line_of(output.out, "weight_decay"), "weight_decay: 0 # default");
  EXPECT_THAT(herd({"config", recipe, "--plain"}).out, testing::Not(HasSubstr("#")));
}

TEST_F(ConfigCommand, AnAdapterSaysItsOwnShape) {
  std::filesystem::create_directory(scratch_ / "adapter");
  const auto file = scratch_ / "adapter/adapter_config.json";
  std::ofstream(file) << R"({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 12, "lora_dropout": 0.125,
      "target_modules": ["v_proj", "k_proj"], "modules_to_save": null, "bias": "none"})";
  const auto adapter = "peft.adapter=" + (scratch_ / "adapter").string(), from = " # from adapter " + (scratch_ / "adapter").string();
  const auto config = [&](const std::string& recipe, std::vector<std::string> overrides = {}) {
    overrides.insert(overrides.begin(), {"config", write(recipe), adapter});
    return herd(overrides);
  };
  for (const std::string recipe : {"peft: {method: lora}\n", "include: peft/lora\n"}) {  // a preset gives way, as a default does
    const auto out = config(recipe).out;
    EXPECT_EQ(line_of(out, "r"), "r: 4" + from);
    EXPECT_EQ(line_of(out, "alpha"), "alpha: 12" + from);
    EXPECT_EQ(line_of(out, "dropout"), "dropout: 0.125" + from);
    EXPECT_EQ(line_of(out, "bias"), "bias: none" + from);
    EXPECT_EQ(line_of(out, "target_modules"), "target_modules: [k_proj, v_proj]" + from);
    EXPECT_EQ(line_of(out, "init"), "init: \"true\" # default");
  }
  const auto agreed = config("peft: {method: lora, r: 4, target_modules: [v_proj, k_proj]}\n", {"peft.dropout=0.5"});
  EXPECT_EQ(line_of(agreed.out, "r"), "r: 4 # " + (scratch_ / "r.yaml").string() + ":1:25") << agreed.err;
  EXPECT_EQ(line_of(agreed.out, "dropout"), "dropout: 0.5 # command line") << "no part of the shape";

  const auto refused = config("peft: {method: lora}\n", {"peft.r=16", "peft.target_modules=[q_proj]"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.err, "error: command line: peft.r=16 peft.target_modules=[q_proj]; expected peft.r=4 peft.target_modules=[k_proj, v_proj], as adapter " +
                             (scratch_ / "adapter").string() + " has it\n       leave it out: the adapter says what is trained\n");
  std::filesystem::remove(file);
  EXPECT_EQ(config("peft: {method: lora}\n").code, 0) << "herd config shows a recipe whose adapter is elsewhere too";
}

TEST_F(ConfigCommand, KeysThatTheMethodDoesNotReadAreRefused) {
  const auto refused = herd({"config", write("peft: {method: ia3}\n"), "peft.dropout=0.1"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.err,
            "error: command line: peft.dropout=0.1 where peft.method is ia3; expected a key that it reads: target_modules, feedforward_modules, "
            "modules_to_save, init, adapter\n       peft.dropout is read by lora, adapter_h, adapter_p, adapter_parallel, adalora, p_tuning\n");
  EXPECT_THAT(herd({"config", write("peft: {r: 4}\n")}).err, HasSubstr("peft.r=4 where peft.method is none; expected no key beside peft.method"));
  // A preset made for another method gives way, as does what is said as it is by default.
  EXPECT_EQ(herd({"config", write("include: peft/lora\npeft: {method: ia3, dropout: 0}\n")}).code, 0);
}

TEST_F(ConfigCommand, PatternsAreMappings) {
  const auto run = resolve_run({.file = write("peft: {method: lora, rank_pattern: {q_proj: 4, '.*\\.0\\..*': 2}}\n"), .overrides = {"peft.alpha_pattern.v_proj=2.5"}});
  EXPECT_EQ(run.config.peft.rank_pattern.values, (std::vector<std::pair<std::string, double>>{{"q_proj", 4}, {".*\\.0\\..*", 2}}));
  EXPECT_EQ(run.config.peft.alpha_pattern.values, (std::vector<std::pair<std::string, double>>{{"v_proj", 2.5}}));
  run.save(scratch_ / "config.yaml");
  EXPECT_EQ(resolve_run({.file = scratch_ / "config.yaml", .overrides = {}, .folders = {}}).config, run.config);
  EXPECT_THAT(herd({"config", write("peft: {method: lora, rank_pattern: {q_proj: 0}}\n")}).err, HasSubstr("from 1 to 4096"));
}

TEST_F(ConfigCommand, PeftListsAndExplainsMethods) {
  EXPECT_THAT(herd({"peft", "list"}).out, AllOf(HasSubstr("lora "), HasSubstr("ia3 "), HasSubstr("adapter_parallel ")));
  const auto ia3 = herd({"peft", "explain", "ia3"}).out;
  EXPECT_THAT(ia3, AllOf(HasSubstr("merges exactly"), HasSubstr("peft_type IA3"), HasSubstr("  feedforward_modules: []\n"), testing::Not(HasSubstr("dropout"))));
  const auto wrong = herd({"peft", "explain", "ia"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean 'ia3'?"));
}

TEST_F(ConfigCommand, ExplainsFromTheSchema) {
  EXPECT_EQ(herd({"config", "--explain", "peft.r"}).out,
            "peft.r: rank of the update\n  type     a whole number, from 1 to 4096\n  default  8\n");
  EXPECT_THAT(herd({"config", "--explain", "model.config"}).out,
              AllOf(HasSubstr("a section or null"), HasSubstr("model.config.hidden_size")));
  EXPECT_THAT(herd({"config", "--explain"}).out, AllOf(HasSubstr("  model "), HasSubstr("  checkpoint ")));
  const auto wrong = herd({"config", "--explain", "peft.lora_alhpa"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.err,
            "error: command line: unknown key 'peft.lora_alhpa'\n       did you mean 'peft.alpha'?  (herd config --explain peft.alpha)\n");
}

TEST_F(ConfigCommand, ErrorsSayWhereAndEndWith2) {
  const auto recipe = write("peft:\n  r: 8\ntrain:\n    lora_alhpa: 16\n");
  auto output = herd({"config", recipe});
  EXPECT_EQ(output.code, 2);
  EXPECT_EQ(output.out, "");
  EXPECT_EQ(
      output.err,
      "error: " + recipe + ":4:5: unknown key 'train.lora_alhpa'\n       did you mean 'peft.alpha'?  (herd config --explain peft.alpha)\n");
  EXPECT_EQ(herd({"config", write("train: {warmup: 2.5}\n")}).err,
            "error: " + recipe +
                ":1:17: 'train.warmup' is 2.5; expected a fraction below 1 or a whole number of steps\n       (herd config --explain train.warmup)\n");
  EXPECT_THAT(herd({"config", write("train: {lr: 1}\n")}).err, HasSubstr("did you mean 'train.learning_rate'?"));
  EXPECT_THAT(herd({"config", write("include: models/lama\n")}).err, HasSubstr("did you mean 'models/llama'?"));
  for (const auto& wrong : std::vector<std::vector<std::string>>{
           {}, {"confg"}, {"config"}, {"config", "--nope"}, {"config", "a.yaml", "b"}, {"config", (scratch_ / "none.yaml").string()}}) {
    output = herd(wrong);
    EXPECT_EQ(output.code, 2) << testing::PrintToString(wrong);
    EXPECT_FALSE(output.err.empty());
  }
  EXPECT_THAT(herd({"confg"}).err, AllOf(StartsWith("error: command 'confg'"), HasSubstr("did you mean 'config'?")));
  EXPECT_EQ(herd({"--help"}).code, 0);
  EXPECT_THAT(herd({"config", "--help"}).out, HasSubstr("herd config"));
}

TEST_F(ConfigCommand, SectionsHoldTogether) {
  const auto error = [&](const std::vector<std::string>& overrides) {
    return test::outcome_of<ConfigError>([&] { resolve_run({.file = "", .overrides = overrides}).require_trainable(); });
  };
  const std::string sizes = "model.config={hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4";
  EXPECT_EQ(error({"model.path=a", "data.sets=[b]"}), test::kNoError);
  EXPECT_EQ(error({"model.path=a", "data.sets=b"}), test::kNoError);
  EXPECT_EQ(error({sizes + "}", "model.family=llama", "model.tokenizer=t", "data.sets=[b]"}), test::kNoError);
  EXPECT_THAT(error({"data.sets=[b]"}), HasSubstr("'model.path' is empty"));
  EXPECT_THAT(error({"model.path=a"}), HasSubstr("'data.sets' is empty"));
  EXPECT_THAT(error({sizes + "}", "model.family=llama", "data.sets=[b]"}), HasSubstr("'model.tokenizer' is empty"));
  EXPECT_THAT(error({sizes + "}", "model.path=a"}), HasSubstr("'model.path' is 'a'; expected empty"));
  EXPECT_THAT(error({sizes + "}"}), HasSubstr("'model.family' is auto"));
  EXPECT_THAT(error({sizes + ", num_key_value_heads: 3}"}), HasSubstr("'model.config.num_key_value_heads' is 3; expected a divisor"));
  EXPECT_THAT(error({sizes + ", head_dim: 3}", "model.family=llama"}), HasSubstr("'model.config.head_dim' is 3; expected an even"));
  EXPECT_THAT(error({sizes + ", rope_scaling: {rope_type: llama3}}"}), HasSubstr("'model.config.rope_scaling.low_freq_factor' is null"));
  EXPECT_THAT(error({"model.config={hidden_size: 64}"}), HasSubstr("'model.config.num_hidden_layers' is 0"));
  const std::string without_ffn = "model.config={hidden_size: 65, num_hidden_layers: 2, num_attention_heads: 5";
  EXPECT_THAT(error({without_ffn + "}", "model.family=llama"}), HasSubstr("'model.config.intermediate_size' is 0"));
  EXPECT_EQ(error({without_ffn + "}", "model.family=bloom", "model.tokenizer=t", "data.sets=[b]"}), test::kNoError);
  EXPECT_THAT(error({"peft.adapter=x"}), HasSubstr("'peft.adapter' is 'x'"));
  EXPECT_THAT(error({"peft.method=ia3", "peft.init=pissa"}), HasSubstr("true or false where peft.method is ia3"));
  EXPECT_THAT(error({"train.warmup=1.5"}), HasSubstr("'train.warmup' is 1.5"));
  EXPECT_THAT(error({"data.held_out=1.5"}), HasSubstr("'data.held_out' is 1.5"));
  EXPECT_THAT(error({"train.patience=2"}), HasSubstr("'train.patience' is 2"));
  EXPECT_THAT(error({"train.evaluate_first=true"}), HasSubstr("'train.evaluate_first' is true; expected false where no records are held out"));
  EXPECT_THAT(error({"parallel.offload=parameters"}),
              AllOf(HasSubstr("'parallel.offload' is parameters"), HasSubstr("where parallel.strategy is ddp"), HasSubstr("zero3")));
  EXPECT_THAT(error({"run.name=a/b"}), HasSubstr("'run.name' is 'a/b'"));
  EXPECT_THAT(error({"data.threads=5000000000"}), HasSubstr("'data.threads' is '5000000000'"));
}

TEST_F(ConfigCommand, ConfigBecomesTheHubsConfigJson) {
  const auto run =
      resolve_run({.file = "",
                   .overrides = {"model.family=llama",
                                 "model.config={hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, "
                                 "num_key_value_heads: 2, tie_word_embeddings: true, rope_scaling: {rope_type: linear, factor: 2}}"}});
  EXPECT_EQ(hub_config(run.config.model, 300), nlohmann::json::parse(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true, "vocab_size": 300,
      "rope_scaling": {"rope_type": "linear", "factor": 2.0}})"));
  EXPECT_THROW(hub_config(ModelOptions{}, 300), ConfigError);
}

TEST_F(ConfigCommand, EachFamilyHasItsOwnKeysAndNoOthers) {
  const auto config_of = [](const std::string& family, const std::string& more) {
    const auto run = resolve_run({.file = "",
                                  .overrides = {"model.family=" + family,
                                                "model.config={hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4" + more + "}"}});
    return hub_config(run.config.model, 300);
  };
  EXPECT_EQ(config_of("bloom", ", layer_norm_eps: 0.01"),
            nlohmann::json::parse(R"({"model_type": "bloom", "hidden_size": 64, "n_layer": 2, "n_head": 4, "layer_norm_epsilon": 0.01, "vocab_size": 300})"));
  EXPECT_EQ(config_of("chatglm2", ", intermediate_size: 80, num_key_value_heads: 2"),
            nlohmann::json::parse(R"({"model_type": "chatglm", "hidden_size": 64, "num_layers": 2, "num_attention_heads": 4, "multi_query_group_num": 2,
                "ffn_hidden_size": 80, "padded_vocab_size": 300})"));
  EXPECT_THAT(test::message_of<ConfigError>([&] { config_of("bloom", ", intermediate_size: 80"); }),
              AllOf(HasSubstr("'model.config.intermediate_size': 80"), HasSubstr("null: bloom has no such setting")));
}

}  // namespace
}  // namespace herd
