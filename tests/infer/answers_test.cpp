// What is read out of an answer: each rule of the headers with an answer that only it reads.
#include "infer/metrics/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/metrics/numbers.h"
#include "runtime/base/error.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExactMatch, ComparesNormalForms) {
  for (const auto& [text, expected] : std::vector<std::pair<const char*, const char*>>{
           {"  The\tCapital \n is\u3000PARIS. ", "the capital is paris"},
           {"“巴黎。”", "巴黎"},
           {"(ａｂｃ１２３！)", "abc123"},
           {"e\u0301", "é"},
           {"10²", "10²"},
           {"-3.50", "-3.50"},
           {"$5, 10%", "$5, 10%"},
           {"x = f(1)", "x = f(1"},
           {"well-known, it's", "well-known, it's"},
           {"...", ""},
           {"", ""}})
    EXPECT_EQ(normal_answer(text), expected) << text;
  EXPECT_TRUE(exact_match("Paris.", std::vector<std::string>{"London", "paris"}));
  EXPECT_FALSE(exact_match("3", std::vector<std::string>{"-3"}));
  EXPECT_FALSE(exact_match("", {}));
}

TEST(Choices, AreReadByTheFirstRuleThatFindsSome) {
  for (const auto& [answer, letters] : std::vector<std::pair<const char*, const char*>>{
           // The seeds' prompt ends with 正确答案的序号是：
           {"D", "D"}, {"D。", "D"}, {"Ｄ", "D"}, {"D:意识", "D"}, {"ABD", "ABD"}, {"D、B、A", "ABD"}, {"A，C", "AC"}, {"A和C", "AC"}, {"A B D", "ABD"},
           {"A, C and D", "ACD"}, {"选项B是正确的", "B"}, {"应该选择C", "C"},
           // 1: nothing but a letter.
           {"d", "D"}, {"(b).", "B"}, {"bad", ""},
           // 2: behind a mark, the last.
           {"A错了。正确答案的序号是：C", "C"}, {"A is wrong. The answer is (B).", "B"}, {"Answer: option **C**", "C"}, {"答案：A,C。", "AC"}, {"答案是A。不，答案为B", "B"},
           {"A项不对，故选D", "D"}, {"The correct answer is 'E'", "E"},
           // 3: lines that begin with letters.
           {"A:家庭\nC:杂志", "AC"}, {"B. one\n  (D) four", "BD"}, {"So B:\nA: one", "B"},
           // 4: the first.
           {"I think that B is right and C is not", "B"}, {"A planet turns, so B", "B"}, {"A and C", "AC"}, {"A is right", "A"}, {"Not A", "A"},
           {"DNA, B2, ABCz and x1A", ""}, {"F", ""}, {"", ""}, {"不知道", ""}})
    EXPECT_EQ(choice_letters(answer), letters) << answer;
  EXPECT_EQ(choice_letters("E", 4), "");
  EXPECT_EQ(choice_letters("答案是J", 10), "J");
  EXPECT_THAT(message_of<ConfigError>([] { choice_letters("A", 27); }), HasSubstr("27 choices"));
}

TEST(AnswerWords, AreThoseOfTheInstruction) {
  EXPECT_THAT(answer_format("Is it?\n\nAnswer format: true/false"), ElementsAre("true", "false"));
  EXPECT_THAT(answer_format("Answer format: x/y\nAnswer format: answer1/answer2/ answer3\nmore"), ElementsAre("answer1", "answer2", "answer3"));
  EXPECT_THAT(answer_format("Say true/false"), ElementsAre());
}

TEST(AnswerWords, TheFirstNamedCounts) {
  const std::vector<std::string> boolq{"true", "false"}, piqa{"solution1", "solution2"}, arc{"answer1", "answer2", "answer12"};
  EXPECT_EQ(answer_word("the correct answer is False, not true", boolq), "false");
  EXPECT_EQ(answer_word("True, not false", boolq), "true");
  EXPECT_EQ(answer_word("untrue, trueish", boolq), "");
  EXPECT_EQ(answer_word("答案是true。", boolq), "true");
  EXPECT_EQ(answer_word("Solution 2 is better than solution1", piqa), "solution2");
  EXPECT_EQ(answer_word("The correct answer is answer12", arc), "answer12");
  EXPECT_EQ(answer_word("", boolq), "");
}

TEST(Numbers, TheLastOrTheOneBehindTheMark) {
  for (const auto& [answer, number] : std::vector<std::pair<const char*, double>>{
           {"72", 72}, {"The answer is 72.", 72}, {"5+7=12", 12}, {"10-3", 3}, {"(2)-3", 3}, {"x = -3", -3}, {"5 - 8 = −3", -3}, {"－４．５元", -4.5},
           {"1,234,567.5", 1234567.5}, {"1,2345", 2345}, {"1,2,3", 3}, {"有3，500", 500}, {".5", 0.5}, {"v1 is 2.50.", 2.5}, {"1.5e3", 1500}, {"2E-2", 0.02},
           {"$1,000", 1000}, {"-$5", -5}, {"$-5", -5}, {"25%", 25}, {"￥8", 8}, {"3/4", 0.75}, {"-1 3/4 cups", -1.75}, {"3⁄4", 0.75}, {"36 * 2/3 = 24", 24},
           {"5/6/2020", 2020}, {"5/0", 0}, {"3/4.5", 4.5}, {"共有5个，每个m2", 5}, {"3 answer1 x_2", 3}, {"#### 18\nThat took 3 steps", 18},
           {"#### 1\n#### $2,000 of 3", 2000}, {"#### Step\nit is 4", 4}, {"####-7 or 8", -7}, {"7 km²", 7}})
    EXPECT_EQ(number_in(answer), std::optional(number)) << answer;
  for (const auto* none : {"", "none", "m2", "#### x", "½", "三"}) EXPECT_EQ(number_in(none), std::nullopt) << none;
  EXPECT_EQ(number_in(std::string(400, '9')), std::nullopt);
}

TEST(Numbers, AreOneUpToAThousandth) {
  EXPECT_TRUE(number_match("1/3", "0.333"));
  EXPECT_TRUE(number_match("So it is 576.", "576.0"));
  EXPECT_FALSE(number_match("0.33", "0.333"));
  EXPECT_FALSE(number_match("none", "1"));
  EXPECT_THAT(message_of<DataError>([] { number_match("1", "many"); }), HasSubstr("'many'"));
}

}  // namespace
}  // namespace herd::test
