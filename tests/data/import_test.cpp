// The raw layouts of the Chinese chat corpora: fixtures with every quirk, and their exact output beside them (import_parity_test.py derives
// it anew).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/import/corpora.h"
#include "data/import/simplified.h"
#include "tests/data/text_files.h"
#include "tests/support/assets.h"

namespace herd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Pair;

std::filesystem::path fixture(const std::string& name) { return test::source_dir() / "tests/data/fixtures/import" / name; }

class Import : public test::TextFiles {
 protected:
  ImportRequest request(const std::string& corpus, const std::filesystem::path& source) const {
    return {.corpus = corpus, .source = source, .output = output()};
  }
  std::string complaint(const std::string& corpus, const std::filesystem::path& source) const {
    return test::message_of<DataError>([&] { import_corpus(request(corpus, source)); });
  }
};

TEST_F(Import, EveryLayoutGivesWhatIsPublished) {
  int count = 0;
  for (const auto& [name, corpus] : corpora()) {
    import_corpus(request(name, fixture(name)));
    EXPECT_EQ(written(), read_file(fixture(name + ".tsv"))) << name;
    ++count;
  }
  EXPECT_EQ(count, 8);
}

TEST_F(Import, CountsWhatItLeavesOut) {
  EXPECT_THAT(import_corpus(request("douban", fixture("douban"))).left_out,
              testing::ElementsAre(Pair("label 0", 8), Pair("a session of one utterance", 1), Pair("no utterance", 1)));
  EXPECT_THAT(
      import_corpus(request("qingyun", fixture("qingyun"))).left_out,
      testing::ElementsAre(Pair("with '{'", 1), Pair("with 'qq'", 2), Pair("with '菲菲'", 1), Pair("not two tab-separated fields", 4)));
}

TEST_F(Import, AllTurnsAreThePairsOfNeighbours) {
  auto asked = request("douban", file("one.txt", "1\ta\tb\tc\td\n0\tx\ty\n"));
  asked.turns = Turns::kAll;
  EXPECT_EQ(import_corpus(asked).written, 3);
  EXPECT_EQ(written(), "a\tb\nb\tc\nc\td\n");
}

TEST_F(Import, WholeSessionsAreConversations) {
  auto asked = request("xiaohuangji", file("a.conv", "E\nM a\nM b\nM c\nM d\nM e\nE\nM x\n"));
  asked.turns = Turns::kWhole;
  EXPECT_THAT(test::message_of<ConfigError>([&] { import_corpus(asked); }), HasSubstr("--format jsonl"));
  asked.json_lines = true;
  EXPECT_EQ(import_corpus(asked).written, 1);
  EXPECT_EQ(written(), R"({"id":"xiaohuangji-1","conversations":[{"from":"human","value":"a"},{"from":"assistant","value":"b"},)"
                       R"({"from":"human","value":"c"},{"from":"assistant","value":"d"}]})"
                       "\n");
}

TEST_F(Import, JsonLinesLeaveEmptySidesOut) {
  auto asked = request("tieba", file("t", "你好 \"您\"\n"));
  asked.json_lines = true;
  import_corpus(asked);
  EXPECT_EQ(written(), "{\"instruction\":\"你好\",\"input\":\"\",\"output\":\"\\\"您\\\"\"}\n");
  asked = request("qingyun", file("q", "a|b\n|c\nd|\n"));
  asked.json_lines = true;
  EXPECT_THAT(import_corpus(asked).left_out, testing::ElementsAre(Pair("an empty query or answer", 2)));
}

TEST_F(Import, SimplifiesWhereAsked) {
  auto asked = request("tieba", file("t", "漢語\t學習\n"));
  import_corpus(asked);
  EXPECT_EQ(written(), "漢語\t學習\n");
  asked.simplify = true;
  import_corpus(asked);
  EXPECT_EQ(written(), "汉语\t学习\n");
}

TEST(Simplified, KnowsPhrasesBeforeCharacters) {
  const Simplified simplified;
  EXPECT_EQ(simplified.convert("乾坤與乾燥"), "乾坤与干燥");
  EXPECT_EQ(simplified.convert("瞭解、瞭望"), "了解、瞭望");
  EXPECT_EQ(simplified.convert("皇后在後面"), "皇后在后面");
  EXPECT_EQ(simplified.convert("頭髮會發光"), "头发会发光");
  EXPECT_EQ(simplified.convert("我們在圖書館讀書，聽見鐘聲。"), "我们在图书馆读书，听见钟声。");
  EXPECT_EQ(simplified.convert("简体 abc \xEF\xBF\xBD 😀"), "简体 abc \xEF\xBF\xBD 😀");
}

TEST_F(Import, FindsTheFilesOfARawTree) {
  std::filesystem::create_directories(scratch_ / "weibo-400w");
  file("weibo-400w/stc_weibo_train_post", "a b\n");
  file("weibo-400w/stc_weibo_train_response", "c d\n");
  import_corpus(request("weibo", scratch_.path()));
  EXPECT_EQ(written(), "ab\tcd\n");
}

TEST_F(Import, AnotherLayoutIsRecognised) {
  EXPECT_THAT(complaint("subtitle", fixture("tieba/tieba.dialogues")), AllOf(HasSubstr("你好"), HasSubstr("'M utterance'")));
  EXPECT_THAT(complaint("subtitle", file("a", "你好 好\n在吗 在\n")), HasSubstr("this looks like ptt or tieba"));
  EXPECT_THAT(complaint("tieba", fixture("subtitle/dgk_shooter_min.conv")), HasSubstr("the layout of tieba"));
  EXPECT_THAT(complaint("tieba", file("b", "E\nM a\nM b\n")), HasSubstr("this looks like subtitle or xiaohuangji"));
  EXPECT_THAT(complaint("ptt", file("c", "1\ta b\tc\n0\ta\tb\n")), HasSubstr("this looks like douban"));
  EXPECT_THAT(complaint("douban", file("d", "a | b\n")), HasSubstr("this looks like qingyun"));
}

TEST_F(Import, BrokenCorporaAreNamed) {
  EXPECT_THAT(complaint("douban", file("a", "1\ta\tb\n0\ta\tb\n2\ta\tb\n")), AllOf(HasSubstr("a:3"), HasSubstr("the label '2'")));
  EXPECT_THAT(complaint("tieba", file("b", std::string_view("a b\nc\0d\n", 8))), AllOf(HasSubstr("b:2"), HasSubstr("NUL")));
  EXPECT_THAT(complaint("tieba", file("c", "")), HasSubstr("an empty file"));
  EXPECT_THAT(complaint("xiaohuangji", file("d", "E\nM a\nE\n")), HasSubstr("no pair"));
  EXPECT_THAT(complaint("weibo", fixture("weibo/stc_weibo_train_post")),
              HasSubstr("the folder of stc_weibo_train_post, stc_weibo_train_response"));
  EXPECT_THAT(complaint("douban", fixture("tieba")), HasSubstr("no file 'train.txt'"));
  EXPECT_FALSE(std::filesystem::exists(output()));
}

TEST_F(Import, PostsAndResponsesAreAsMany) {
  file("stc_weibo_train_post", "a\nb\nc\n");
  file("stc_weibo_train_response", "a\nb\n");
  EXPECT_THAT(complaint("weibo", scratch_.path()), AllOf(HasSubstr("stc_weibo_train_post:3"), HasSubstr("cut short")));
}

TEST_F(Import, RefusesWhatItCannotDo) {
  auto asked = request("tieba", file("a", "a b\n"));
  asked.turns = Turns::kAll;
  EXPECT_THAT(test::message_of<ConfigError>([&] { import_corpus(asked); }),
              AllOf(HasSubstr("--turns"), HasSubstr("douban, subtitle, xiaohuangji")));
  asked = request("tieba", scratch_ / "a");
  asked.output = asked.source;
  EXPECT_THAT(test::message_of<DataError>([&] { import_corpus(asked); }), HasSubstr("the output is an input"));
  EXPECT_THAT(test::message_of<ConfigError>([&] { import_corpus(request("teiba", asked.source)); }), HasSubstr("did you mean 'tieba'"));
}

}  // namespace
}  // namespace herd
