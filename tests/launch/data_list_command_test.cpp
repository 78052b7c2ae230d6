// `herd data list`, `show`, `formats` and `templates` as one calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/catalogue.h"
#include "data/readers/format.h"
#include "data/template/template.h"
#include "runtime/base/exit_codes.h"
#include "tests/support/run_herd.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DataListCommand : public test::CommandTest {
 protected:
  DataListCommand() : CommandTest("data") {
    file("mine.jsonl", R"({"instruction": "Add.", "input": "1 2", "output": "3\n4", "category": "math"})"
                       "\n"
                       R"({"instruction": "Say it.", "output": "it"})"
                       "\n"
                       R"({"instruction": 5, "output": "it"})"
                       "\n");
    file("list.yaml",
         "mine: {title: My own, records: 1234, language: CN, task: TS, licence: CC0, files: [mine.jsonl]}\n"
         "gone: {language: CN, files: [gone.json], get: the moon}\n");
  }
  void file(const std::string& name, const std::string& text) const { std::ofstream(scratch_ / name) << text; }
  std::string path(const std::string& name) const { return (scratch_ / name).string(); }
  std::vector<std::string> with_list(std::vector<std::string> words) const {
    words.insert(words.end(), {"--catalogue", path("list.yaml")});
    return words;
  }
  /// The line of a table that begins with `name`; "" without one.
  std::string row(const std::string& name) const {
    const auto at = ("\n" + out_).find("\n" + name + " ");
    return at == std::string::npos ? "" : out_.substr(at, out_.find('\n', at) - at);
  }
};

TEST_F(DataListCommand, ListsEveryEntry) {
  ASSERT_EQ(herd(with_list({"list"})), kExitSuccess) << err_;
  for (const auto& alias : Catalogue().aliases()) EXPECT_NE(row(alias), "") << alias;
  EXPECT_THAT(row("mine"), testing::MatchesRegex("mine +1,234 +CN +TS +CC0 +here"));
  EXPECT_THAT(row("gone"), testing::MatchesRegex("gone +CN +not here"));
}

TEST_F(DataListCommand, ListsByTag) {
  ASSERT_EQ(herd(with_list({"list", "--tag", "cn"})), kExitSuccess) << err_;
  EXPECT_NE(row("mine"), "");
  EXPECT_NE(row("firefly"), "");
  EXPECT_EQ(row("dolly"), "");
  EXPECT_EQ(herd({"list", "--tag", "XX"}), kExitUsage);
  EXPECT_THAT(err_, AllOf(HasSubstr("'XX'"), HasSubstr("COL")));
}

TEST_F(DataListCommand, ShowsAnEntry) {
  ASSERT_EQ(herd(with_list({"show", "mine"})), kExitSuccess) << err_;
  EXPECT_THAT(out_,
              AllOf(HasSubstr("title      My own\n"), HasSubstr("licence    CC0\n"), HasSubstr("file       " + path("mine.jsonl") + "\n")));
  ASSERT_EQ(herd(with_list({"show", "gone"})), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("get it from  the moon\n"), HasSubstr("no file " + path("gone.json"))));
}

TEST_F(DataListCommand, ShowsAFile) {
  ASSERT_EQ(herd({"show", path("mine.jsonl"), "--records", "1"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("format    alpaca: "), HasSubstr("records   2\n"),
                          HasSubstr("fields    instruction, input, output, category\n"), HasSubstr("no input  1 records"),
                          HasSubstr("broken    1\n"), HasSubstr("mine.jsonl:3 (record 3)"),
                          HasSubstr("── " + path("mine.jsonl") +
                                    ":1 (record 1)\nuser      Add.\n  input   1 2\nassistant 3\n          4\ncategory  math\n")));
  EXPECT_THAT(out_, Not(HasSubstr("Say it.")));
  file("table.csv", "instruction,output,more\na,b,c\n");
  ASSERT_EQ(herd({"show", path("table.csv")}), kExitSuccess) << err_;
  EXPECT_THAT(out_, AllOf(HasSubstr("format    csv: "), HasSubstr("fields    instruction, output, more\n"),
                          HasSubstr("user      a\nassistant b\n")));
  EXPECT_EQ(herd({"show", "dolyl"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean 'dolly'?"));
}

TEST_F(DataListCommand, ListsFormatsAndTemplates) {
  ASSERT_EQ(herd({"formats"}), kExitSuccess) << err_;
  for (const auto& [name, format] : record_formats())
    EXPECT_THAT(row(name), AllOf(HasSubstr(format.looks_like), HasSubstr(format.description)));
  ASSERT_EQ(herd({"templates"}), kExitSuccess) << err_;
  for (const auto& [name, t] : templates()) EXPECT_THAT(row(name), HasSubstr(t.description));
}

TEST_F(DataListCommand, ShowsWhatATemplateLearns) {
  ASSERT_EQ(herd({"templates", "belle_v1"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, HasSubstr("── two questions\nHuman: What is the capital of France?\n\nAssistant:⟦ Paris.</s>⟧\n\nHuman: And of "
                              "Italy?\n\nAssistant:⟦ Rome.</s>⟧\n"));
  ASSERT_EQ(herd({"templates", "chatglm"}), kExitSuccess) << err_;
  EXPECT_THAT(out_, HasSubstr("an example for each answer"));
  for (const auto& name : templates().names()) EXPECT_EQ(herd({"templates", name}), kExitSuccess) << name << err_;
  EXPECT_EQ(herd({"templates", "vicunja"}), kExitUsage);
}

}  // namespace
}  // namespace herd
