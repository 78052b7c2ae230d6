// `herd data audit` as one calls it, over a set and a byte-level vocabulary written here, in which every ASCII character is one token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/commands.h"
#include "runtime/base/exit_codes.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;

void write_tokenizer(const std::filesystem::path& folder) {
  nlohmann::json vocab{{"</s>", 0}, {"Ġ", 1}, {"Ċ", 2}};
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = vocab.size();
  const nlohmann::json level{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const nlohmann::json end{{"id", 0}, {"content", "</s>"}, {"single_word", false}, {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", true}};
  const nlohmann::json model{{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}};
  std::ofstream(folder / "tokenizer.json") << nlohmann::json{{"version", "1.0"}, {"added_tokens", {end}}, {"normalizer", nullptr},
                                                             {"pre_tokenizer", level}, {"post_processor", nullptr}, {"decoder", level}, {"model", model}};
  std::ofstream(folder / "tokenizer_config.json") << nlohmann::json{{"eos_token", "</s>"}};
}

class DataCommand : public testing::Test {
 protected:
  DataCommand() {
    write_tokenizer(scratch_.path());
    std::ofstream(scratch_ / "set.jsonl") << R"({"instruction": "Add.", "input": "1 2", "output": "3"})" << "\n"
                                          << R"({"instruction": "Say it.", "input": "", "output": "it"})" << "\n";
    std::ofstream(scratch_ / "recipe.yaml") << "model: {tokenizer: " << scratch_.path().string() << "}\n"
                                            << "data: {sets: [" << (scratch_ / "set.jsonl").string() << "], seed: 1}\n";
  }

  int herd(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"herd", "data"});
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run_herd(static_cast<int>(arguments.size()), argv.data());
    std::fflush(stderr);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  std::string recipe() const { return (scratch_ / "recipe.yaml").string(); }

  test::Scratch scratch_;
  std::string out_, err_;
};

TEST_F(DataCommand, AuditShowsWhatIsLearnt) {
  ASSERT_EQ(herd({"audit", recipe()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("### Input:\n1 2\n\n### Response:⟦ 3</s>⟧\n"), HasSubstr("### Instruction:\nSay it.\n\n### Response:⟦ it</s>⟧\n"),
                          HasSubstr("set.jsonl:2 (record 2)"), HasSubstr("2 records: 2 examples"), HasSubstr("7 supervised")));
}

TEST_F(DataCommand, OverridesAndSamplesCount) {
  ASSERT_EQ(herd({"audit", recipe(), "data.train_on=all", "data.packing=true", "--samples", "1"}), kExitSuccess) << err_;
  EXPECT_EQ(out_.find("── ", out_.find("── ") + 1), std::string::npos);
  EXPECT_THAT(out_, AllOf(HasSubstr("B⟦elow is"), HasSubstr("packed: 1 rows of 512 tokens"), HasSubstr("(data.packing is on)")));
}

TEST_F(DataCommand, TellsWhatIsWrong) {
  EXPECT_EQ(herd({}), kExitUsage);
  EXPECT_EQ(herd({"adit", recipe()}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("herd data --help"));
  EXPECT_EQ(herd({"audit", recipe(), "data.max_tokens=100"}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("set.jsonl:1 (record 1)"), HasSubstr("no token to learn"), HasSubstr("data.unsupervised")));
  EXPECT_EQ(herd({"audit", recipe(), "model.tokenizer="}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("model.tokenizer"));
  EXPECT_EQ(herd({"audit", recipe(), "data.sets=[]"}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("data.sets"));
}

}  // namespace
}  // namespace herd
