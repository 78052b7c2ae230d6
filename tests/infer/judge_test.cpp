// A judge's marks: how they are read, and that none is lost or asked for twice.
#include "infer/evaluate/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

TEST(Marks, AreNumbersFromZeroToOneBehindTheirWord) {
  for (const auto& [reply, mark] : std::vector<std::pair<const char*, double>>{
           {"得分: 0.8\n因为 3 个理由", 0.8}, {"得分：１", 1}, {"得分：1，好", 1}, {"得分:\n0.5", 0.5}, {"请按照\"得分:\"的形式。**得分:** 0.5/1", 0.5}, {"得分: 0.5 / 1.0", 0.5},
           {"Score: 1.0.", 1}, {"SCORE: .5", 0.5}, {"score: 0.8 out of 1", 0.8}, {"得分: 0.9\n1. 理由", 0.9}, {"score: 0.9 - well done", 0.9}, {"得分: 0.8分，满分为1分", 0.8},
           {"得分: 0.7。最终得分: 0.70", 0.7}, {"得分: 很高。分数: 0.6", 0.6}, {" 0.25 ", 0.25}})
    EXPECT_EQ(mark_in(reply), std::optional(mark)) << reply;
}

TEST(Marks, OfAnotherScaleAndTwoThatDifferAreNone) {
  for (const auto* reply : {"", "好", "得分: 80", "得分: 8/10", "得分: 80%", "得分: -1", "得分: 很高", "I give it 1", "得分 0.5", "0.5 or 0.6", "得分: 1/10", "得分: 1 / 10", "得分：１ ／ １０",
                            "得分: 1 %", "得分: 1％", "score: 1 out of 10", "score: 1 of 5", "得分: 1分（满分10分）", "得分: 0-1", "得分: 0到1之间", "得分: 0,8", "得分: 0.5.1", "得分: 1e5", "得分: 0.5/1/2",
                            "得分: 0.8。最终得分: 0.7", "score: 0.7, 得分: 0.8", "得分: 0.8，分数: 8/10", "1%", "1/1"})
    EXPECT_EQ(mark_in(reply), std::nullopt) << reply;
}

/// Says what it is told to, and counts.
class Parrot final : public Judge {
 public:
  explicit Parrot(std::string words) : words_(std::move(words)) {}
  JudgeReply ask(const std::string&) override { return ++asked, JudgeReply{.text = words_, .why = ""}; }
  int asked = 0;

 private:
  std::string words_;
};

class Ledgers : public testing::Test {
 protected:
  JudgeReport judge(Parrot& parrot) {
    outcomes_ = {{.question = "one", .answer = "a"}, {.question = "two", .answer = "b"}};
    return judge_answers(parrot, {.prompt = "mark"}, {}, 1, ledger_, outcomes_);
  }

  Scratch scratch_;
  std::filesystem::path ledger_ = scratch_ / "judgements.jsonl";
  std::vector<Outcome> outcomes_;
};

TEST_F(Ledgers, KeepMarksForTheNextRun) {
  Parrot first("得分: 0.5"), second("得分: 1");
  EXPECT_EQ(judge(first).marks, 2);
  const auto report = judge(second);
  EXPECT_EQ(report.kept, 2);
  EXPECT_EQ(second.asked, 0);
  EXPECT_EQ(outcomes_[1].scores.at("judge"), 0.5);
}

TEST_F(Ledgers, GoOnBehindALineThatAKillTore) {
  for (const std::string torn : {R"({"question":"ab)", "\n{\"question\":", "{"}) {
    write_file_atomically(ledger_, torn);
    Parrot first("得分: 0.5"), second("得分: 1");
    EXPECT_EQ(judge(first).marks, 2);
    EXPECT_EQ(judge(second).kept, 2) << "the first mark stands on a line of its own behind " << torn;
    EXPECT_EQ(second.asked, 0);
  }
}

TEST_F(Ledgers, AWholeLineThatIsNoMarkIsTold) {
  write_file_atomically(ledger_, "{\"question\": 5, \"mark\": 1}\n");
  Parrot parrot("得分: 0.5");
  EXPECT_THAT(message_of<DataError>([&] { judge(parrot); }), HasSubstr("judgements.jsonl"));
}

TEST_F(Ledgers, AReplyWithoutAMarkIsNoZero) {
  Parrot parrot("得分: 1 / 10");
  const auto report = judge(parrot);
  EXPECT_EQ(report.without_mark, 2);
  EXPECT_TRUE(outcomes_[0].scores.empty());
  EXPECT_EQ(parrot.asked, 6) << "each is asked for twice more";
}

}  // namespace
}  // namespace herd::test
