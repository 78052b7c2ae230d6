// `herd data stats`, `export` and `dedupe` as one calls them, over sets written here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DataStatsCommand : public test::CommandTest {
 protected:
  DataStatsCommand() : CommandTest("data") {
    test::write_ascii_tokenizer(scratch_.path());
    file("set.jsonl", R"({"instruction": "ab", "input": "", "output": "cd"})"
                      "\n"
                      R"({"instruction": "ab", "input": "", "output": "cdefghij"})"
                      "\n"
                      R"({"instruction": "ab", "input": "", "output": "cd"})"
                      "\n");
    file("recipe.yaml", "model: {tokenizer: " + scratch_.path().string() + "}\ndata: {sets: [" + path("set.jsonl") +
                            "], template: belle_v1, max_tokens: 28}\n");
  }
  void file(const std::string& name, const std::string& text) const { std::ofstream(scratch_ / name) << text; }
  std::string path(const std::string& name) const { return (scratch_ / name).string(); }
};

// `Human: ab\n\nAssistant:` is 21 tokens, ` cd</s>` 4, ` cdefghij</s>` 10.
TEST_F(DataStatsCommand, TellsARecipesMixture) {
  ASSERT_EQ(herd({"stats", path("recipe.yaml")}), kExitSuccess) << err_;
  EXPECT_THAT(
      out_, AllOf(HasSubstr("set.jsonl        3         0         0  27.0      25       31          1      19.2 %\n"),
                  HasSubstr("cut at 28: 1 of 3 examples, 3 tokens (3.7 %); without a token to learn: 0\n"), HasSubstr("languages: EN 3\n"),
                  HasSubstr("duplicates: 1 exact; 0 near (at least 0.8 alike, among the first 3 records)\n")));
}

TEST_F(DataStatsCommand, TakesSetsAlone) {
  ASSERT_EQ(herd({"stats", "--sets", path("set.jsonl"), "data.max_tokens=28", "--template", "belle_v1", "--tokenizer",
                  scratch_.path().string(), "--output", path("out")}),
            kExitSuccess)
      << err_;
  const auto json = nlohmann::json::parse(read_file(path("out") + "/stats.json"));
  EXPECT_EQ(json["lengths"]["counts"], nlohmann::json::parse("[[25, 2], [31, 1]]"));
  EXPECT_EQ(json["examples"]["tokens_cut"], 3);
  EXPECT_EQ(json["examples"]["supervised_tokens"], 4 + 7 + 4);
  EXPECT_THAT(out_, AllOf(HasSubstr("index.html"), HasSubstr("lengths.png")));
  ASSERT_EQ(herd({"stats", "--sets", path("set.jsonl")}), kExitSuccess) << err_;
  EXPECT_THAT(out_, HasSubstr("lengths in characters, as no tokenizer is named"));
}

TEST_F(DataStatsCommand, ExportsWhatTheRecipeLeaves) {
  ASSERT_EQ(herd({"export", path("recipe.yaml"), "data.deduplicate=exact", "--output", path("out.jsonl")}), kExitSuccess) << err_;
  EXPECT_EQ(read_file(path("out.jsonl")),
            "{\"instruction\":\"ab\",\"input\":\"\",\"output\":\"cd\"}\n{\"instruction\":\"ab\",\"input\":\"\",\"output\":\"cdefghij\"}\n");
  EXPECT_THAT(out_, AllOf(HasSubstr("set.jsonl: 2 of 3 records; 1 duplicates\n"),
                          HasSubstr("out.jsonl: 2 records as instruction, input, output\n")));
}

TEST_F(DataStatsCommand, DedupesFiles) {
  ASSERT_EQ(herd({"dedupe", path("set.jsonl"), "--output", path("out.jsonl")}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("3 records read, 1 exact duplicates\n"),
                          HasSubstr("exact: " + path("set.jsonl") + ":3 (record 3)\n  is a copy of " + path("set.jsonl") +
                                    ":1 (record 1)\n  went   ab │ cd\n  stayed ab │ cd\n"),
                          HasSubstr("out.jsonl: 2 records\n")));
  EXPECT_THAT(out_, Not(HasSubstr("near")));
}

TEST_F(DataStatsCommand, TellsWhatIsWrong) {
  EXPECT_EQ(herd({"stats"}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("data.sets"), HasSubstr("--sets FILE")));
  EXPECT_EQ(herd({"stats", "--sets", path("set.jsonl"), "--template", "alpaka"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean 'alpaca'?"));
  EXPECT_EQ(herd({"export", path("recipe.yaml")}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("--output"));
  EXPECT_EQ(herd({"export", path("recipe.yaml"), "--output", path("o"), "--side", "left"}), kExitUsage);
  EXPECT_EQ(herd({"export", path("recipe.yaml"), "--output", path("o"), "--side", "held_out"}), kExitFailure);
  EXPECT_EQ(herd({"dedupe", path("set.jsonl"), "--output", path("set.jsonl")}), kExitFailure);
  EXPECT_EQ(herd({"dedupe", path("set.jsonl"), "--output", path("o"), "--near", "7"}), kExitUsage);
}

}  // namespace
}  // namespace herd
