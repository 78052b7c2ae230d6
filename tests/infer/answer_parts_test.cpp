// Answers of a prediction that was stopped, and how its questions are shared out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "infer/answer_parts.h"
#include "infer/answer_share.h"
#include "runtime/base/error.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class Parts : public testing::Test {
 protected:
  static std::string line(std::size_t record, const std::string& text) {
    return AnswerParts::line(record, {.ids = {1, 2}, .text = text, .finish = FinishReason::kEos});
  }

  Scratch scratch_;
  AnswerParts parts_{scratch_ / "out.jsonl"};
  const AnswerSettings settings_{{"temperature", "0.5"}, {"seed", "3"}};
};

TEST_F(Parts, OfAllRanksAndStartsAreRead) {
  EXPECT_EQ(parts_.open(settings_), 1);
  parts_.part(1, 0).write(line(4, "four\n\"4\"") + line(0, "零"));
  parts_.part(1, 1).write(line(2, ""));
  EXPECT_EQ(parts_.open(settings_), 2);
  parts_.part(2, 11).write(line(1, "one") + line(4, "the same again"));
  const auto found = parts_.read();
  EXPECT_THAT(found, ElementsAre(Pair(0, StoredAnswer{0, "零", "eos", 2}), Pair(1, StoredAnswer{1, "one", "eos", 2}), Pair(2, StoredAnswer{2, "", "eos", 2}),
                                 Pair(4, StoredAnswer{4, "four\n\"4\"", "eos", 2})));
  parts_.remove();
  EXPECT_FALSE(std::filesystem::exists(parts_.folder()));
}

TEST_F(Parts, WhatIsTornDoesNotCount) {
  parts_.open(settings_);
  const auto whole = line(5, "five");
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    std::ofstream(parts_.folder() / "part-1-0.jsonl") << line(3, "three") << whole.substr(0, bytes);
    EXPECT_THAT(parts_.read(), ElementsAre(Pair(3, testing::_))) << bytes;
  }
  std::ofstream(parts_.folder() / "part-1-0.jsonl") << line(3, "three") << std::string(20, '\0') << "\n" << whole;  // a block that never reached the disk
  EXPECT_THAT(parts_.read(), ElementsAre(Pair(3, testing::_), Pair(5, testing::_)));
}

TEST_F(Parts, UnderOtherSettingsAreNotGoneOnWith) {
  parts_.open(settings_);
  parts_.open({{"temperature", "0.7"}});  // nothing is there yet
  parts_.part(1, 0).write(line(0, "a"));
  try {
    parts_.open(settings_);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("out.jsonl.parts"), HasSubstr("seed none, temperature 0.7"), HasSubstr("seed 3, temperature 0.5")));
  }
  std::filesystem::remove(parts_.folder() / "settings.json");
  EXPECT_THROW(parts_.open(settings_), IoError);
}

TEST(Share, IsOfEveryLengthForEachRank) {
  const std::vector<std::int64_t> tokens{5, 0, 9, 7, 9, 1, 0, 3};
  EXPECT_THAT(share_of(tokens, 0, 1), ElementsAre(2, 4, 3, 0, 7, 5));
  EXPECT_THAT(share_of(tokens, 0, 2), ElementsAre(2, 3, 7));
  EXPECT_THAT(share_of(tokens, 1, 2), ElementsAre(4, 0, 5));
  EXPECT_THAT(share_of(tokens, 6, 7), ElementsAre());
}

}  // namespace
}  // namespace herd::test
