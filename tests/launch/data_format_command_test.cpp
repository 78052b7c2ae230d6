// `herd data format`, `import` and `demo` as one calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/base/exit_codes.h"
#include "runtime/base/file.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;

class DataFormatCommand : public test::CommandTest {
 protected:
  DataFormatCommand() : CommandTest("data") {}

  std::string file(const std::string& name, std::string_view text) const {
    std::ofstream(scratch_ / name, std::ios::binary) << text;
    return (scratch_ / name).string();
  }
  std::string output() const { return (scratch_ / "out.jsonl").string(); }
};

TEST_F(DataFormatCommand, CotTakesItsSetFromTheFilesName) {
  const auto templates = file(
      "t.yaml", "aqua: [{instruction: 'A {question}', output: '{answer}'}]\nqed: [{instruction: 'B {question}', output: '{answer}'}]\n");
  const auto aqua = file("aqua_train.tsv", "q\ta\tr\n"), qed = file("qed.tsv", "q\ta\tr\ns\tb\tr\n");
  ASSERT_EQ(herd({"format", "cot", aqua, qed, "--templates", templates, "--output", output()}), kExitSuccess) << err_;
  EXPECT_EQ(read_file(output()),
            "{\"instruction\":\"A q\",\"input\":\"\",\"output\":\"a\"}\n{\"instruction\":\"B q\",\"input\":\"\",\"output\":\"a\"}\n"
            "{\"instruction\":\"B s\",\"input\":\"\",\"output\":\"b\"}\n");
  EXPECT_THAT(out_, AllOf(HasSubstr("aqua                 1 of "), HasSubstr("qed                  2 of "), HasSubstr("3 records")));

  ASSERT_EQ(herd({"format", "cot", aqua, qed, "--templates", templates, "--set", "qed", "--output", output()}), kExitSuccess) << err_;
  EXPECT_THAT(read_file(output()), testing::StartsWith("{\"instruction\":\"B q\""));
  ASSERT_EQ(herd({"format", "cot", aqua, qed, "--templates", templates, "--set", "qed", "--set", "aqua", "--output", output()}),
            kExitSuccess)
      << err_;
  EXPECT_THAT(read_file(output()), AllOf(testing::StartsWith("{\"instruction\":\"B q\""), HasSubstr("A s")));
  EXPECT_EQ(herd({"format", "cot", aqua, "--templates", templates, "--set", "qed", "--set", "aqua", "--output", output()}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("2 sets for 1 file"));
}

TEST_F(DataFormatCommand, CotHasTemplatesOfItsOwn) {
  ASSERT_EQ(herd({"format", "cot", file("creak.tsv", "<q>\t<a>\t<r>\n"), "--output", output()}), kExitSuccess) << err_;
  EXPECT_THAT(read_file(output()), AllOf(HasSubstr("<q>"), HasSubstr("<a>"), HasSubstr("<r>")));
  EXPECT_EQ(herd({"format", "cot", file("claims.tsv", "q\ta\tr\n"), "--output", output()}), kExitFailure);
  EXPECT_THAT(err_, AllOf(HasSubstr("no set 'claims'"), HasSubstr("sensemaking")));
}

TEST_F(DataFormatCommand, ImportSaysWhatItLeftOut) {
  ASSERT_EQ(herd({"import", "xiaohuangji", file("x.conv", "E\nM a\nM b\nE\nM c\nE\n"), "--output", output()}), kExitSuccess) << err_;
  EXPECT_EQ(read_file(output()), "a\tb\n");
  EXPECT_THAT(out_, AllOf(HasSubstr("1 pair\n"), HasSubstr("1: a session of one utterance")));
  EXPECT_EQ(herd({"import", "xiaohuangj", file("x.conv", "E\n"), "--output", output()}), kExitUsage);
  EXPECT_EQ(herd({"import", "tieba", (scratch_ / "nothing").string(), "--output", output()}), kExitFailure);
  EXPECT_THAT(err_, HasSubstr("nothing: cannot open to read"));
}

TEST_F(DataFormatCommand, TheOthersCountTheirRecords) {
  const auto record = file(
      "r.json", R"([{"instruction": "a", "input": "b", "output": "c", "response": "d", "rows": [["x"]], "question": "q", "answer": "y"}])");
  for (const auto* format : {"belle", "airoboros", "table"}) {
    ASSERT_EQ(herd({"format", format, record, "--output", output()}), kExitSuccess) << err_;
    EXPECT_THAT(out_, HasSubstr("out.jsonl: 1 record\n")) << format;
    EXPECT_EQ(herd({"format", format, record, "--output", record}), kExitFailure);
    EXPECT_THAT(err_, HasSubstr("the output is an input")) << format;
  }
  ASSERT_EQ(herd({"demo", "--records", "40", "--output", (scratch_ / "demo").string()}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("demo-en.jsonl"), HasSubstr("demo-cn.jsonl")));
}

}  // namespace
}  // namespace herd
