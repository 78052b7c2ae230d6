// `herd generate` with several adapters on one base, chosen by prompt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "data/template/template.h"
#include "data/tokenizer/tokenizer.h"
#include "models/hub.h"
#include "models/registry.h"
#include "peft/adapter_io.h"
#include "peft/registry.h"
#include "peft/select.h"
#include "runtime/base/exit_codes.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const json kConfig{{"model_type", "llama"}, {"vocab_size", 97}, {"hidden_size", 32}, {"intermediate_size", 64}, {"num_hidden_layers", 2},
                   {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"max_position_embeddings", 300}, {"initializer_range", 0.2}};

class GenerateWithAdapters : public test::CommandTest {
 protected:
  GenerateWithAdapters() : CommandTest("generate") {
    test::write_ascii_tokenizer(scratch_.path());
    tokenizer_ = load_tokenizer(scratch_.path());
    write_base("base", 5);
    write_adapter("pirate", {.method = "lora", .init = AdapterInit::kRandom});
    write_adapter("poet", {.method = "prefix", .num_virtual_tokens = 4});
    write_adapter("judge", {.method = "ia3"});
    write_adapter("clerk", {.method = "prompt", .num_virtual_tokens = 6});
  }
  std::string folder(const std::string& name) const { return (scratch_ / name).string(); }
  void write_base(const std::string& name, std::uint64_t seed) {
    const auto model = make_model(kConfig);
    materialise(*model, at::kFloat);
    initialise(*model, seed);
    save_hub_folder(*model, kConfig.dump(), scratch_ / name, {.copies = tokenizer_files(scratch_.path())});
  }
  void write_adapter(const std::string& name, const PeftOptions& options, const std::string& base = "base") {
    const auto loaded = load_hub_folder(folder(base), at::kFloat);
    const auto whole = attach(*loaded.model, options, 1);
    const at::NoGradGuard no_grad;
    for (auto* p : trained_parameters(*loaded.model)) p->value.add_(0.5 * at::sin(at::arange(p->value.numel(), at::kFloat) * 0.7).view_as(p->value));
    save_adapter(*loaded.model, whole, folder(base),
                 {.template_name = "alpaca", .template_fingerprint = templates().at("alpaca").fingerprint,
                  .tokenizer_fingerprint = tokenizer_->fingerprint, .base_fingerprint = loaded.fingerprint},
                 scratch_ / name);
  }
  std::vector<std::string> named(const std::vector<std::string>& names) const {
    std::vector<std::string> arguments;
    for (const auto& name : names) arguments.insert(arguments.end(), {"--adapter", name + "=" + folder(name)});
    return arguments;
  }
  int generate(std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", folder("base"), "--max-new-tokens", "12"});
    return herd(more);
  }
  std::vector<json> answers(const std::vector<json>& records, std::vector<std::string> more) {
    write(records);
    more.insert(more.end(), {"--file", folder("set.jsonl"), "--temperature", "0.9", "--seed", "3"});
    EXPECT_EQ(generate(more), kExitSuccess) << err_;
    std::vector<json> lines;
    std::istringstream in(out_);
    for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
    EXPECT_EQ(lines.size(), records.size());
    return lines;
  }
  void write(const std::vector<json>& records) {
    std::ofstream file(scratch_ / "set.jsonl");
    for (const auto& record : records) file << record << "\n";
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

std::vector<json> without_choice(std::vector<json> records) {
  for (auto& record : records) record.erase("adapter");
  return records;
}

TEST_F(GenerateWithAdapters, EachPromptIsAnsweredAsByItsAdapterAlone) {
  const std::vector<json> records{{{"prompt", "Once"}, {"adapter", "poet"}},     {{"prompt", "upon"}, {"adapter", "pirate"}},
                                  {{"prompt", "a time"}, {"adapter", nullptr}},  {{"instruction", "Add."}, {"adapter", "poet"}},
                                  {{"instruction", "Add."}, {"adapter", "judge"}}, {{"prompt", "Once"}, {"adapter", "clerk"}},
                                  {{"prompt", "Once"}},                          {{"prompt", "Once"}, {"adapter", "pirate"}}};
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--batch-size", "1"}, {"--batch-size", "3"}, {"--batch-size", "1", "--quantization", "nf4"}}) {
    auto several = named({"pirate", "poet", "judge", "clerk"});
    several.insert(several.end(), how.begin(), how.end());
    const auto found = answers(records, several);
    std::set<std::string> texts;
    for (const std::string name : {"", "pirate", "poet", "judge", "clerk"}) {
      auto one = how;
      if (name.empty()) one.insert(one.end(), {"--template", "alpaca"});  // the base has none of its own
      else one.insert(one.end(), {"--adapter", folder(name)});
      const auto alone = answers(without_choice(records), one);
      for (std::size_t i = 0; i < records.size(); ++i) {
        const auto chosen = records[i].contains("adapter") && records[i]["adapter"].is_string() ? records[i]["adapter"].get<std::string>() : "";
        if (chosen != name) continue;
        EXPECT_EQ(found[i]["generated"], alone[i]["generated"]) << i << " by " << name;
        EXPECT_EQ(found[i].value("adapter", json()), records[i].value("adapter", json()));
        texts.insert(alone[i]["generated"].get<std::string>());
      }
    }
    EXPECT_EQ(texts.size(), records.size()) << "adapters and prompts differ";
  }
}

TEST_F(GenerateWithAdapters, OneIsForPromptsThatNameNone) {
  const std::vector<json> records{{{"prompt", "Once"}}, {{"prompt", "Once"}, {"adapter", nullptr}}};
  auto arguments = named({"pirate", "judge"});
  arguments.insert(arguments.end(), {"--use", "judge"});
  const auto found = answers(records, arguments);
  EXPECT_EQ(found[0]["generated"], answers(without_choice(records), {"--adapter", folder("judge")})[0]["generated"]);
  EXPECT_EQ(found[1]["generated"], answers(without_choice(records), {})[1]["generated"]);
  arguments.insert(arguments.end(), {"--prompt", "Once"});
  ASSERT_EQ(generate(arguments), kExitSuccess) << err_;
  const auto by_judge = out_;
  ASSERT_EQ(generate({"--adapter", folder("judge"), "--prompt", "Once"}), kExitSuccess);
  EXPECT_EQ(by_judge, out_);
  // A folder of that very name is no name.
  std::filesystem::create_directory_symlink(folder("judge"), scratch_ / "x=y");
  ASSERT_EQ(generate({"--adapter", folder("x=y"), "--prompt", "Once"}), kExitSuccess) << err_;
  EXPECT_EQ(by_judge, out_);
}

TEST_F(GenerateWithAdapters, TellsWhatIsWrong) {
  const auto refused = [&](std::vector<std::string> arguments, int code, std::vector<std::string> words) {
    EXPECT_EQ(generate(std::move(arguments)), code);
    for (const auto& word : words) EXPECT_THAT(err_, HasSubstr(word));
    EXPECT_EQ(out_, "");
  };
  const auto with = [&](std::vector<std::string> arguments) {
    const auto both = named({"pirate", "poet"});
    arguments.insert(arguments.begin(), both.begin(), both.end());
    return arguments;
  };
  refused(with({"--prompt", "a", "--use", "pirat"}), kExitUsage, {"--use", "adapter 'pirat'", "one of pirate, poet", "did you mean 'pirate'?"});
  refused({"--prompt", "a", "--use", "pirate"}, kExitUsage, {"there is no --adapter", "--adapter pirate=DIR"});
  refused(with({"--prompt", "a", "--adapter", folder("judge")}), kExitUsage, {"beside others", "NAME=DIR"});
  refused(with({"--prompt", "a", "--adapter", "poet=" + folder("judge")}), kExitUsage, {"two adapters named 'poet'"});
  refused(with({"--prompt", "a", "--adapter", "judge="}), kExitUsage, {"--adapter judge="});
  write({{{"prompt", "a"}, {"adapter", "poet"}}, {{"prompt", "a"}, {"adapter", "peot"}}});
  refused(with({"--file", folder("set.jsonl")}), kExitFailure, {"set.jsonl:2", "adapter 'peot'", "did you mean 'poet'?"});
  refused({"--adapter", folder("poet"), "--file", folder("set.jsonl")}, kExitFailure, {"set.jsonl:2", "one of poet"});  // one without a name is called as its folder
  write({{{"prompt", "a"}, {"adapter", 3}}});
  refused(with({"--file", folder("set.jsonl")}), kExitFailure, {"set.jsonl:1", "'adapter' that is no string"});
  // One of another base, whatever the prompt asks for.
  write_base("other", 6);
  write_adapter("stranger", {.method = "ia3"}, "other");
  refused(with({"--prompt", "a", "--use", "poet", "--adapter", "stranger=" + folder("stranger")}), kExitUsage,
          {"adapter 'stranger': ", "the one it was trained on", "--force-base"});
  // A prompt that its own adapter has no room for, before any is answered.
  write({{{"prompt", std::string(298, 'a')}}, {{"prompt", std::string(298, 'a')}, {"adapter", "poet"}}});
  refused(with({"--file", folder("set.jsonl")}), kExitFailure, {"set.jsonl:2", "298 tokens", "context of 296"});
}

}  // namespace
}  // namespace herd
