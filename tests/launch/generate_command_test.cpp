// `herd generate` as one calls it: over a random model with a byte-level vocabulary written here, and over the known stories of the assets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/template/render.h"
#include "data/template/template.h"
#include "infer/prompt.h"
#include "models/hub.h"
#include "models/registry.h"
#include "peft/adapter_io.h"
#include "peft/merge.h"
#include "peft/registry.h"
#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/assets.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const json kConfig{{"model_type", "llama"}, {"vocab_size", 97}, {"hidden_size", 24}, {"intermediate_size", 40}, {"num_hidden_layers", 2},
                   {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"max_position_embeddings", 300}, {"initializer_range", 0.2}};

class GenerateCommand : public test::CommandTest {
 protected:
  GenerateCommand() : CommandTest("generate") {
    auto model = random_model();
    test::write_ascii_tokenizer(scratch_.path());
    tokenizer_ = load_tokenizer(scratch_.path());
    save(*model, "model", {});
  }

  static std::unique_ptr<CausalLm> random_model() {
    auto model = make_model(kConfig);
    materialise(*model, at::kFloat);
    initialise(*model, 5);
    return model;
  }
  void save(CausalLm& model, const std::string& name, const std::optional<Provenance>& provenance) {
    save_hub_folder(model, kConfig.dump(), scratch_ / name, {.copies = tokenizer_files(scratch_.path()), .provenance = provenance});
  }
  Provenance provenance() const {
    return {.template_name = "alpaca",
            .template_fingerprint = templates().at("alpaca").fingerprint,
            .tokenizer_fingerprint = tokenizer_->fingerprint};
  }
  std::string folder(const std::string& name) const { return (scratch_ / name).string(); }

  int herd(const std::string& model, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--model", model, "--max-new-tokens", "20"});
    return CommandTest::herd(std::move(arguments));
  }
  std::string answer(const std::string& model, const std::vector<std::string>& arguments) {
    EXPECT_EQ(herd(model, arguments), kExitSuccess) << err_;
    return out_;
  }
  std::vector<json> lines(const std::string& text) {
    std::vector<json> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    return out;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(GenerateCommand, AnInstructionReadsAsTrainingWroteIt) {
  const auto prompt = text_of(render_prompt(templates().at("alpaca"), instruction_record("Add.", "1 2", "")), "");
  const auto plain = answer(folder("model"), {"--prompt", prompt});
  EXPECT_EQ(answer(folder("model"), {"--instruction", "Add.", "--input", "1 2", "--template", "alpaca", "--raw"}), plain);
  EXPECT_EQ(answer(folder("model"), {"--instruction", "Add.", "--input", "1 2", "--template", "alpaca"}),
            answer_frame(templates().at("alpaca"), 1, true).answer(plain));
  auto model = random_model();
  save(*model, "trained", provenance());
  EXPECT_EQ(answer(folder("trained"), {"--instruction", "Add.", "--input", "1 2", "--raw"}), plain);
  EXPECT_THAT(err_, HasSubstr("20 tokens in"));
  EXPECT_NE(answer(folder("trained"), {"--instruction", "Add.", "--raw"}), plain);
}

TEST_F(GenerateCommand, ABadWordIsNotWritten) {
  const auto plain = answer(folder("model"), {"--prompt", "a"});
  const auto word = plain.substr(2, 2), letter = plain.substr(8, 1);
  const auto found = answer(folder("model"), {"--prompt", "a", "--bad-word", word, "--bad-word", letter});
  EXPECT_THAT(found, Not(HasSubstr(word)));
  EXPECT_THAT(found, Not(HasSubstr(letter)));
  EXPECT_EQ(found.substr(0, 2), plain.substr(0, 2));
}

TEST_F(GenerateCommand, AFileIsAnsweredLineByLine) {
  std::ofstream(scratch_ / "set.jsonl") << R"({"id": 7, "prompt": "Once"})"
                                           "\n\n"
                                           R"({"instruction": "Add.", "input": "1 2", "output": "3"})"
                                           "\n"
                                        << R"({"instruction": "Say it."})"
                                           "\n";
  const std::vector<std::string> arguments{"--file", folder("set.jsonl"), "--template", "alpaca", "--temperature", "0.9", "--seed", "4"};
  const auto found = lines(answer(folder("model"), arguments));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]["id"], 7);
  EXPECT_EQ(found[1]["output"], "3");
  for (const auto& line : found) EXPECT_LE(line["new_tokens"], 20);
  EXPECT_EQ(answer(folder("model"), {"--prompt", "Once", "--temperature", "0.9", "--seed", "4"}),
            found[0]["generated"].get<std::string>() + "\n");
  auto side_by_side = arguments;
  side_by_side.insert(side_by_side.end(), {"--batch-size", "2", "--output", folder("answers.jsonl")});
  EXPECT_EQ(answer(folder("model"), side_by_side), "");
  EXPECT_EQ(lines(read_file(scratch_ / "answers.jsonl")), found);
  std::ofstream(scratch_ / "set.json") << R"([{"prompt": "Once"}])";
  EXPECT_EQ(lines(answer(folder("model"), {"--file", folder("set.json"), "--temperature", "0.9", "--seed", "4"}))[0]["generated"],
            found[0]["generated"]);
}

TEST_F(GenerateCommand, AnAdapterAnswersAsTheFolderItMergesInto) {
  const auto base = load_hub_folder(folder("model"), at::kFloat);
  const PeftOptions options{.method = "lora", .r = 4};
  attach(*base.model, options, 1);
  for_each_parameter(*base.model, [](const std::string&, Parameter& p) {
    const at::NoGradGuard no_grad;
    if (p.trainable) p.value.copy_(at::sin(at::arange(p.value.numel(), at::kFloat)).view_as(p.value) * 0.3);
  });
  auto trained = provenance();
  trained.base_fingerprint = base.fingerprint;
  save_adapter(*base.model, options, folder("model"), trained, scratch_ / "adapter");
  merge_adapter(*base.model);
  save(*base.model, "merged", trained);

  const std::vector<std::string> question{"--instruction", "Add.", "--raw"};
  auto with_adapter = question;
  with_adapter.insert(with_adapter.end(), {"--adapter", folder("adapter")});
  const auto found = answer(folder("model"), with_adapter);
  EXPECT_EQ(found, answer(folder("merged"), question));
  auto without = question;
  without.insert(without.end(), {"--template", "alpaca"});
  EXPECT_NE(found, answer(folder("model"), without));

  EXPECT_EQ(herd(folder("merged"), with_adapter), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("adapter"), HasSubstr("the one it was trained on"), HasSubstr(base.fingerprint.substr(0, 12))));
  with_adapter.push_back("--force-base");
  EXPECT_EQ(herd(folder("merged"), with_adapter), kExitSuccess) << err_;
}

TEST_F(GenerateCommand, WhatTrainingStoredIsHeldAgainstWhatIsHere) {
  auto model = random_model();
  auto other = provenance();
  other.template_fingerprint = "0123";
  save(*model, "other_text", other);
  EXPECT_EQ(herd(folder("other_text"), {"--instruction", "Add."}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("other_text"), HasSubstr("alpaca"), HasSubstr("0123"), HasSubstr(templates().at("alpaca").fingerprint),
                          HasSubstr("--template alpaca")));
  EXPECT_EQ(herd(folder("other_text"), {"--instruction", "Add.", "--template", "alpaca"}), kExitSuccess) << err_;

  other = provenance();
  other.template_name = "vicuna-9";
  other.template_fingerprint = "89ab";
  save(*model, "other_name", other);
  EXPECT_EQ(herd(folder("other_name"), {"--instruction", "Add."}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("vicuna-9"), HasSubstr("one of alpaca")));
  EXPECT_EQ(herd(folder("other_name"), {"--instruction", "Add.", "--template", "alpaca"}), kExitSuccess);
  EXPECT_THAT(err_, AllOf(HasSubstr("trained with the template 'vicuna-9'"), HasSubstr("prompting it with 'alpaca'")));

  other = provenance();
  other.tokenizer_fingerprint = "4567";
  save(*model, "other_tokenizer", other);
  EXPECT_EQ(herd(folder("other_tokenizer"), {"--prompt", "Once"}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("4567"), HasSubstr(tokenizer_->fingerprint), HasSubstr("--tokenizer")));
}

TEST_F(GenerateCommand, ARunsFolderIsNoModelButSaysWhereOneIs) {
  const auto refused = [&](const std::string& remedy) {
    EXPECT_EQ(herd(folder("run"), {"--prompt", "a"}), kExitUsage);
    EXPECT_THAT(err_, AllOf(HasSubstr("expected a model's folder"), HasSubstr(remedy)));
  };
  fs::create_directories(scratch_ / "run/checkpoints");
  refused("--model " + folder("run/model"));
  fs::create_directories(scratch_ / "run/adapter");
  refused("--model BASE --adapter " + folder("run/adapter"));
  std::ofstream(scratch_ / "run/adapter_config.json") << "{}";
  refused("--model BASE --adapter " + folder("run"));
}

TEST_F(GenerateCommand, TellsWhatIsWrong) {
  const auto model = folder("model");
  const auto refused = [&](std::vector<std::string> arguments, int code, std::vector<std::string> words) {
    EXPECT_EQ(herd(model, std::move(arguments)), code);
    for (const auto& word : words) EXPECT_THAT(err_, HasSubstr(word));
    EXPECT_EQ(out_, "");
  };
  refused({}, kExitUsage, {"nothing to answer"});
  refused({"--prompt", "a", "--file", "b"}, kExitUsage, {"more than one"});
  refused({"--prompt", "a", "--input", "b"}, kExitUsage, {"--input without --instruction"});
  refused({"--prompt", "a", "--output", "b"}, kExitUsage, {"--output without --file"});
  refused({"--file", model + "/config.json", "--output", model + "/../model/config.json"}, kExitUsage, {"are one file"});
  refused({"--prompt", "a", "--top-k", "5"}, kExitUsage, {"top-k", "temperature"});
  refused({"--prompt", "a", "--logit-bias", "5=x"}, kExitUsage, {"--logit-bias", "ID=VALUE"});
  refused({"--prompt", "a", "--logit-bias", "=1"}, kExitUsage, {"--logit-bias", "ID=VALUE"});
  refused({"--prompt", "a", "--logit-bias", ""}, kExitUsage, {"--logit-bias", "ID=VALUE"});
  refused({"--prompt", "a", "--logit-bias", "97=1"}, kExitUsage, {"logit-bias", "id 97", "97 tokens"});
  refused({"--prompt", "a", "--bad-word", ""}, kExitUsage, {"bad-word", "a word that has tokens"});
  refused({"--prompt", "a", "--min-new-tokens", "21"}, kExitUsage, {"min-new-tokens", "at most max-new-tokens, 20"});
  refused({"--prompt", "a", "--stop", ""}, kExitUsage, {"stop string"});
  refused({"--prompt", "a", "--dtype", "int3"}, kExitUsage, {"dtype"});
  refused({"--instruction", "a"}, kExitUsage, {"no herd.json", "--template alpaca"});
  refused({"--instruction", "a", "--adapter", folder("nowhere")}, kExitFailure, {"nowhere", "no such folder", "a PEFT adapter's folder"});
  refused({"--instruction", "a", "--template", "alpacca"}, kExitUsage, {"did you mean 'alpaca'?"});
  refused({"--prompt", ""}, kExitFailure, {"--prompt", "no tokens"});
  refused({"--prompt", std::string(300, 'a')}, kExitFailure, {"300 tokens", "at most 299", "context of 300"});
  refused({"--file", folder("none.jsonl")}, kExitFailure, {"none.jsonl"});
  const auto file = [&](const std::string& text) {
    std::ofstream(scratch_ / "set.jsonl") << text;
    return std::vector<std::string>{"--file", folder("set.jsonl")};
  };
  refused(file("{\"prompt\": \"a\"}\n{\"prompt\""), kExitFailure, {"set.jsonl:2", "broken JSON"});
  refused(file("{\"prompt\": \"a\", \"instruction\": \"b\"}"), kExitFailure, {"set.jsonl:1", "both"});
  refused(file("{\"output\": \"a\"}"), kExitFailure, {"set.jsonl:1", "neither"});
  refused(file("{\"prompt\": 3}"), kExitFailure, {"set.jsonl:1", "no string"});
  refused(file("[{\"prompt\": \"a\"}, 3]"), kExitFailure, {"record 2", "number"});
  refused(file("[{\"prompt\": "), kExitFailure, {"set.jsonl", "array"});
  refused(file(" \n"), kExitFailure, {"no record"});
  refused(file("{\"prompt\": \"\xff\"}"), kExitFailure, {"set.jsonl"});
  refused(file("{\"prompt\": \"a\"}\n{\"prompt\": \"" + std::string(400, 'b') + "\"}"), kExitFailure, {"set.jsonl:2", "400 tokens"});
  EXPECT_EQ(herd(folder("nowhere"), {"--prompt", "a"}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("nowhere"));
}

TEST(EndTokens, AreTheTokenizersAndTheFolders) {
  const test::Scratch folder;
  test::write_ascii_tokenizer(folder.path());
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_THAT(end_tokens(*tokenizer, folder.path()), testing::ElementsAre(0));
  std::ofstream(folder / "config.json") << R"({"eos_token_id": 5})";
  EXPECT_THAT(end_tokens(*tokenizer, folder.path()), testing::ElementsAre(5, 0));
  std::ofstream(folder / "generation_config.json") << R"({"eos_token_id": [7, 0, 9]})";
  EXPECT_THAT(end_tokens(*tokenizer, folder.path()), testing::ElementsAre(7, 0, 9));
  std::ofstream(folder / "generation_config.json") << R"({"eos_token_id": "x"})";
  EXPECT_THROW(end_tokens(*tokenizer, folder.path()), ConfigError);
}

std::string known_story(const std::string& model, const std::string& prompt, const std::string& limit) {
  const auto folder = (test::assets() / "models" / model).string();
  const auto output = test::herd({"generate", "--model", folder, "--prompt", prompt, "--max-new-tokens", limit});
  EXPECT_EQ(output.code, kExitSuccess) << output.err;
  return output.out;
}

TEST(KnownStory, TinyStoriesWordForWord) {
  for (const std::string model : {"tinystories-656k-bf16", "tinystories-656k-f32"}) {
    HERD_NEED_ASSET("models/" + model);
    const auto folder = test::assets() / "models/tinystories-656k-bf16";
    const auto prompt = read_file(folder / "prompt.txt"), story = read_file(folder / "output.txt");
    EXPECT_EQ(prompt + known_story(model, prompt, "300"), story + "\n") << model;
  }
}

TEST(KnownStory, GreedyOfTransformers) {
  for (const std::string model : {"stories260k", "tinystories-656k-f32"}) {
    HERD_NEED_ASSET("models/" + model);
    const auto golden = json::parse(read_file(test::assets() / "models" / model / "golden.json"));
    const auto tokenizer = load_tokenizer(test::assets() / "models" / model);
    for (const auto& example : golden["cases"]) {
      const auto ids = example["greedy_ids"].get<std::vector<TokenId>>();
      const auto prompt = example["prompt"].get<std::string>();
      auto all = tokenizer->encode(prompt);
      const auto start = tokenizer->decode(all).size();
      const bool holds_prompt = ids.size() > all.size() && std::equal(all.begin(), all.end(), ids.begin());
      if (holds_prompt) all = ids;
      else all.insert(all.end(), ids.begin(), ids.end());
      const auto count = std::to_string(ids.size() - (holds_prompt ? tokenizer->encode(prompt).size() : 0));
      EXPECT_EQ(known_story(model, prompt, count), tokenizer->decode(all).substr(start) + "\n") << model << ": " << prompt;
    }
  }
}

}  // namespace
}  // namespace herd
