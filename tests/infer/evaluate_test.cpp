// What an evaluation is made of, by hand: tasks, records, texts and their edges, marks, and what results come to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "infer/evaluate/continuation.h"
#include "infer/evaluate/items.h"
#include "infer/evaluate/results.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A byte an id, but `ab` is 300; 1 begins a text.
class Bytes final : public Tokenizer {
 public:
  Bytes() { bos = 1; }
  std::vector<TokenId> encode(std::string_view text, bool special) const override {
    std::vector<TokenId> ids;
    if (special) ids.push_back(*bos);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.substr(i).starts_with("ab");
      ids.push_back(pair ? 300 : static_cast<unsigned char>(text[i]));
      i += pair;
    }
    return ids;
  }
  std::string decode(std::span<const TokenId>, bool) const override { return ""; }
  std::int64_t vocab_size() const override { return 301; }
  std::optional<TokenId> token_to_id(std::string_view) const override { return {}; }
  std::string id_to_token(TokenId) const override { return ""; }
};

TEST(Continuations, SpacesGoToTheContinuationAndTheWholeIsCut) {
  const Bytes bytes;
  const auto plain = text_continuation(bytes, "x:", "y");
  EXPECT_THAT(plain.ids, ElementsAre(1, 'x', ':', 'y'));
  EXPECT_EQ(plain.from, 3u);
  EXPECT_EQ(text_continuation(bytes, "x: \xE3\x80\x80", "y").from, 3u) << "an ideographic space is one too";
  const auto alone = text_continuation(bytes, "", "y");
  EXPECT_THAT(alone.ids, ElementsAre(1, 'y'));
  EXPECT_EQ(alone.from, 1u);
  // `a|bc` is `ab c`: two tokens are taken for the context, as it has them alone.
  const auto merged = text_continuation(bytes, "a", "bc");
  EXPECT_THAT(merged.ids, ElementsAre(1, 300, 'c'));
  EXPECT_EQ(merged.from, 2u);
  EXPECT_THAT(message_of<DataError>([&] { text_continuation(bytes, "xa", "b"); }), HasSubstr("no token of its own"));
}

TEST(Continuations, WindowsAskForEachTokenOnce) {
  const Bytes bytes;
  for (const std::int64_t context : {3, 4, 7, 20})
    for (std::int64_t stride = 1; stride <= context; ++stride) {
      std::string text = "0123456789", seen;
      for (const auto& window : text_windows(bytes, text, context, stride)) {
        EXPECT_LE(std::ssize(window.ids), context + 1);
        EXPECT_TRUE(seen.empty() || std::ssize(window.ids) == context + 1) << "as much as there is room for stands before";
        for (auto i = window.from; i < window.ids.size(); ++i) seen += static_cast<char>(window.ids[i]);
      }
      EXPECT_EQ(seen, text) << context << ", " << stride;
    }
  EXPECT_THROW(text_windows(bytes, "x", 4, 5), ConfigError);
  EXPECT_THROW(text_windows(bytes, "x", 4, 0), ConfigError);
}

TEST(Continuations, WordsAsPythonSplitsThem) {
  EXPECT_EQ(word_count("one two"), 2);
  EXPECT_EQ(word_count(" one \n\n two "), 4) << "an empty word at either end";
  EXPECT_EQ(word_count(""), 1);
  EXPECT_EQ(word_count("一\xE3\x80\x80二"), 2);
}

EvaluationItem question(std::vector<std::string> choices, std::size_t right) { return {.name = "q", .choices = std::move(choices), .right = right}; }

TEST(Marks, EachMeasureOfAChoice) {
  // Sums say the first, characters the third, bytes the second, behind nothing the fourth.
  const auto item = question({"ab", "蓝蓝蓝蓝", "abcdefgh", "abcd"}, 2);
  Outcome outcome;
  mark_choice(outcome, item, {-2, -3, -4, -5}, {-1, -3, -4.6, -9});
  EXPECT_EQ(outcome.answer, "ab");
  EXPECT_THAT(outcome.scores, ElementsAre(std::pair("acc", 0.0), std::pair("acc_bytes", 0.0), std::pair("acc_mutual_info", 0.0), std::pair("acc_norm", 1.0)));
  const auto right = [&](std::size_t place, const char* metric) {
    auto asked = item;
    asked.right = place;
    Outcome found;
    mark_choice(found, asked, {-2, -3, -4, -5}, {-1, -3, -4.6, -9});
    return found.scores.at(metric);
  };
  EXPECT_EQ(right(0, "acc"), 1);
  EXPECT_EQ(right(2, "acc_norm"), 1);   // −4/8 beside −1, −3/4 and −1.25
  EXPECT_EQ(right(1, "acc_bytes"), 1);  // −3/12
  EXPECT_EQ(right(3, "acc_mutual_info"), 1);
  EXPECT_EQ(outcome.chosen, "0");
  EXPECT_EQ(outcome.right, "2");
  outcome.log_likelihoods[1] = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(Outcome::of_line(outcome.line(), "x"), outcome);
  EXPECT_THROW(Outcome::of_line("{}", "x"), DataError);
}

TEST(Marks, AReferenceIsFoundUnfitBeforeThereIsAnAnswer) {
  const EvaluationTask number{.answer = EvaluationTask::Answer::kNumber}, letters{.answer = EvaluationTask::Answer::kLetters}, word{.answer = EvaluationTask::Answer::kWord};
  EXPECT_THAT(message_of<DataError>([&] { check_reference(number, {.name = "x.json:3", .reference = "none"}); }), AllOf(HasSubstr("x.json:3"), HasSubstr("'none'")));
  EXPECT_THROW(check_reference(letters, {.name = "x", .reference = "?"}), DataError);
  EXPECT_THROW(check_reference(word, {.name = "x", .reference = "true", .question = "Answer format: yes/no"}), DataError);
  EXPECT_NO_THROW(check_reference(number, {.name = "x", .reference = "3"}));
  EXPECT_NO_THROW(check_reference(letters, {.name = "x", .reference = "AC"}));
  EXPECT_NO_THROW(check_reference(word, {.name = "x", .reference = "yes", .question = "Answer format: yes/no"}));
}

Outcome scored(std::string category, std::map<std::string, double> scores) { return {.category = std::move(category), .scores = std::move(scores)}; }

TEST(Values, MeansByCategoryAndTheirMean) {
  const EvaluationTask task{.kind = EvaluationTask::Kind::kChoice};
  const std::vector<Outcome> outcomes{scored("a", {{"acc", 1}}), scored("b", {{"acc", 0}}), scored("a", {{"acc", 1}}), scored("a", {{"acc", 0}}), scored("b", {})};
  const auto values = values_of(task, outcomes);
  ASSERT_EQ(values.size(), 4u);
  const MetricValue all{.metric = "acc", .category = "all", .records = 4, .value = 0.5}, macro{.metric = "acc", .category = "macro", .records = 2, .value = 1.0 / 3},
      a{.metric = "acc", .category = "a", .records = 3, .value = 2.0 / 3}, b{.metric = "acc", .category = "b", .records = 1, .value = 0};
  EXPECT_THAT(values, ElementsAre(all, macro, a, b));
  EXPECT_TRUE(values[0].interval && values[2].interval);
  EXPECT_FALSE(values[1].interval || values[3].interval);
}

TEST(Values, PerplexitiesAreOfSums) {
  const EvaluationTask task{.kind = EvaluationTask::Kind::kPerplexity};
  const std::vector<Outcome> outcomes{scored("", {{"log_likelihood", -6}, {"tokens", 2}, {"words", 1}, {"bytes", 4}}), scored("", {{"log_likelihood", -2}, {"tokens", 6}, {"words", 3}, {"bytes", 12}})};
  const auto values = values_of(task, outcomes);
  ASSERT_EQ(values.size(), 4u);
  EXPECT_DOUBLE_EQ(values[0].value, std::exp(8.0 / 8));
  EXPECT_DOUBLE_EQ(values[1].value, std::exp(8.0 / 4));
  EXPECT_DOUBLE_EQ(values[2].value, std::exp(8.0 / 16));
  EXPECT_DOUBLE_EQ(values[3].value, 0.5 / std::log(2));
  EXPECT_NEAR(values[0].interval->low, std::exp(2.0 / 6), 1e-12) << "two records: one of them twice";
  EXPECT_NEAR(values[0].interval->high, std::exp(6.0 / 2), 1e-12);
}

// Right by number 0, 0, 1, 1; chosen 0, 1, 1, none: of 0 precision 1, recall 1/2; of 1 both 1/2.
TEST(Values, F1IsOverWhatShouldHaveBeenChosen) {
  const EvaluationTask task{.kind = EvaluationTask::Kind::kChoice};
  std::vector<Outcome> outcomes(4, scored("", {{"acc", 0}}));
  for (std::size_t i = 0; i < 4; ++i) outcomes[i].right = i < 2 ? "0" : "1", outcomes[i].chosen = std::vector{"0", "1", "1", ""}[i];
  const auto values = values_of(task, outcomes);
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[1].metric, "f1_macro");
  EXPECT_DOUBLE_EQ(values[1].value, (2.0 / 3 + 1.0 / 2) / 2);
  EXPECT_EQ(values[2].metric, "f1_micro");
  EXPECT_DOUBLE_EQ(values[2].value, 2.0 * 2 / (3 + 4));
  EXPECT_FALSE(values[1].interval || values[2].interval);
}

TEST(Values, ATextThatCannotBeIsInfinitelyPerplexing) {
  const Scratch scratch;
  const EvaluationTask task{.kind = EvaluationTask::Kind::kPerplexity};
  const auto infinity = std::numeric_limits<double>::infinity();
  const std::vector outcomes{scored("", {{"log_likelihood", -infinity}, {"tokens", 2}, {"words", 1}, {"bytes", 4}}), scored("", {{"log_likelihood", -2}, {"tokens", 2}, {"words", 1}, {"bytes", 4}})};
  const EvaluationResults results{.values = values_of(task, outcomes)};
  EXPECT_EQ(results.values[0].value, infinity);
  EXPECT_DOUBLE_EQ(results.values[0].interval->low, std::exp(1)) << "the text that can be, twice";
  EXPECT_EQ(results.values[0].interval->high, infinity);
  write_evaluation(scratch / "out", results, outcomes);
  const auto read = read_results(scratch / "out");
  EXPECT_EQ(read.values, results.values);
  EXPECT_EQ(read.values[0].interval->high, infinity);
  EXPECT_EQ(read_outcomes(scratch / "out"), outcomes);
}

TEST(Results, AFolderThatCannotBeIsFoundOutFirst) {
  const Scratch scratch;
  open_evaluation(scratch / "deep/er");
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "deep/er"));
  write_file_atomically(scratch / "file", "");
  EXPECT_THAT(message_of<IoError>([&] { open_evaluation(scratch / "file"); }), HasSubstr("file"));
}

TEST(Tasks, AllThatComeAlongAreRead) {
  EXPECT_THAT(evaluation_tasks().names(), testing::IsSupersetOf({"perplexity", "choice", "mmlu", "ceval", "mmcu", "gsm8k", "commonsense", "belle"}));
  EXPECT_THAT(message_of<ConfigError>([] { parse_evaluation_task("t", "kind: answer\nreference: x\n", "t.yaml"); }), AllOf(HasSubstr("t.yaml"), HasSubstr("prompt")));
  EXPECT_THAT(message_of<ConfigError>([] { parse_evaluation_task("t", "kind: choise\n", "t.yaml"); }), AllOf(HasSubstr("t.yaml:1"), HasSubstr("choice")));
  EXPECT_THROW(parse_evaluation_task("t", "kind: choice\nprompt: x\nreference: y\n", "t.yaml"), ConfigError);
}

TEST(Items, ExamplesOfTheSameSubjectStandBeforeAQuestion) {
  const Scratch scratch;
  write_file_atomically(scratch / "anatomy_test.csv", "\"Where, then?\",p,q,r,s,C\n");
  write_file_atomically(scratch / "anatomy_dev.csv", "One,1,2,3,4,A\nTwo,1,2,3,4,B\nThree,1,2,3,4,C\n");
  write_file_atomically(scratch / "law_dev.csv", "Law,1,2,3,4,D\n");
  auto task = find_evaluation_task("mmlu");
  task.shots = 2;
  const std::vector data{(scratch / "anatomy_test.csv").string()}, examples{(scratch / "law_dev.csv").string(), (scratch / "anatomy_dev.csv").string()};
  const auto items = read_items(task, data, examples, 0);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].prompt, "The following are multiple choice questions (with answers) about anatomy.\n\nOne\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: A\n\nTwo\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
                             "Where, then?\nA. p\nB. q\nC. r\nD. s\nAnswer:");
  EXPECT_EQ(items[0].right, 2u);
  EXPECT_EQ(items[0].category, "anatomy");
  task.shots = 4;
  EXPECT_THAT(message_of<DataError>([&] { read_items(task, data, examples, 0); }), AllOf(HasSubstr("3 examples of anatomy"), HasSubstr("--shots 3")));
}

class Records : public testing::Test {
 protected:
  std::vector<EvaluationItem> read(const std::string& task, const std::string& lines) {
    write_file_atomically(scratch_ / "x.jsonl", lines);
    return read_items(parse_evaluation_task("t", task, "t.yaml"), std::vector{(scratch_ / "x.jsonl").string()}, {}, 0);
  }
  std::size_t right(const std::string& is, const std::string& choices, const std::string& answer) {
    const auto task = "kind: choice\nfields: [q]\nprompt: \"{{q}}\"\nchoices_in: choices\nreference: \"{{answer}}\"\nreference_is: " + is + "\n";
    return read(task, R"({"q": "?", "choices": )" + choices + R"(, "answer": )" + answer + "}\n").at(0).right;
  }

  Scratch scratch_;
};

TEST_F(Records, ARightAnswerThatMeansTwoChoicesIsRefused) {
  EXPECT_THAT(message_of<DataError>([&] { right("told", R"(["1", "2"])", "1"); }),
              AllOf(HasSubstr("x.jsonl:1 (record 1)"), HasSubstr("'1', the text of choice 0 and the number of choice 1"), HasSubstr("reference_is")));
  EXPECT_THAT(message_of<DataError>([&] { right("told", R"(["B", "A"])", "\"A\""); }), HasSubstr("the letter of choice 0"));
  EXPECT_EQ(right("told", R"(["0", "1"])", "1"), 1u) << "both mean the same";
  EXPECT_EQ(right("told", R"(["A", "B"])", "\"B\""), 1u);
  EXPECT_EQ(right("told", R"(["2", "7"])", "1"), 1u);
  EXPECT_EQ(right("told", R"(["2", "7"])", "2"), 0u) << "there is no choice 2";
}

TEST_F(Records, ATaskSaysWhatItsRightAnswersAre) {
  EXPECT_EQ(right("text", R"(["1", "2"])", "1"), 0u);
  EXPECT_EQ(right("number", R"(["1", "2"])", "1"), 1u);
  EXPECT_EQ(right("number", R"(["2", "1", "0"])", "2"), 2u);
  EXPECT_EQ(right("letter", R"(["B", "A"])", "\"A\""), 0u);
  EXPECT_THAT(message_of<DataError>([&] { right("number", R"(["a", "b"])", "\"a\""); }), HasSubstr("its number from 0"));
  EXPECT_THROW(right("letter", R"(["a", "b"])", "1"), DataError);
  EXPECT_THROW(right("text", R"(["a", "b"])", "1"), DataError);
  EXPECT_THROW(right("number", R"(["a", "b"])", "2"), DataError);
  EXPECT_THROW(parse_evaluation_task("t", "prompt: x\nreference: y\nreference_is: text\n", "t.yaml"), ConfigError);
}

TEST_F(Records, AFieldThatIsNullIsNotThere) {
  const std::string task = "fields: [q]\ninstruction: \"{{q}}\"\ninput: \"{{input}}\"\nreference: \"{{record['a']}}{{more.deep}}\"\ncategory: \"{{c}}\"\n";
  const auto item = read(task, R"({"q": "?", "input": null, "a": null, "c": null, "more": {"deep": null}})").at(0);
  EXPECT_EQ(item.record.turns.at(0).input, "");
  EXPECT_EQ(item.reference, "");
  EXPECT_EQ(item.category, "");
  EXPECT_THAT(message_of<DataError>([&] { read(task, R"({"q": null})"); }), AllOf(HasSubstr("x.jsonl:1"), HasSubstr("no field 'q'")));
}

TEST_F(Records, AnEmptyTextHasNoPerplexity) {
  EXPECT_THAT(message_of<DataError>([&] { read("kind: perplexity\nprompt: \"{{text}}\"\n", "{\"text\": \"a\"}\n{\"text\": \"\"}\n"); }),
              AllOf(HasSubstr("x.jsonl:2 (record 2)"), HasSubstr("an empty text")));
  write_file_atomically(scratch_ / "empty.txt", "");
  EXPECT_THAT(message_of<DataError>([&] { read_items(find_evaluation_task("perplexity"), std::vector{(scratch_ / "empty.txt").string()}, {}, 0); }), HasSubstr("empty.txt"));
}

TEST(Items, AHeaderNamesTheColumns) {
  const Scratch scratch;
  write_file_atomically(scratch / "law_val.csv", "id,question,A,B,C,D,answer\n0,何者？,甲,乙,丙,丁,B\n");
  auto task = find_evaluation_task("ceval");
  task.shots = 0;
  const auto items = read_items(task, std::vector{(scratch / "law_val.csv").string()}, {}, 0);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_THAT(*items[0].prompt, HasSubstr("何者？\nA. 甲\nB. 乙\nC. 丙\nD. 丁\n答案："));
  EXPECT_EQ(items[0].right, 1u);
}

}  // namespace
}  // namespace herd::test
