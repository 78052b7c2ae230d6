// What the readers of single instructions, evaluation sets, tables and text make of their formats.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/readers/format.h"
#include "tests/data/record_files.h"

namespace herd {
namespace {

using test::assistant;
using test::conversation;
using test::RecordFiles;
using test::turn;
using test::user;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Formats = RecordFiles;

Record about(Record record, std::string category, std::string language = "", double weight = 1) {
  record.category = std::move(category);
  record.language = std::move(language);
  record.weight = weight;
  return record;
}

TEST_F(Formats, AlpacaWithAllItMayHold) {
  EXPECT_EQ(
      record(
          R"({"instruction": "i", "input": "x", "output": "", "system": "s", "category": "math", "language": "CN", "weight": 0.5, "id": {"a": [1]}})"),
      about(conversation({user("i", "x"), assistant("")}, "s"), "math", "CN", 0.5));
  EXPECT_EQ(record(R"([{"instruction": "i", "input": "", "output": "o", "class": 3, "lang": "EN"}])"),
            about(instruction_record("i", "", "o"), "3", "EN"));
  EXPECT_EQ(record(R"({"instruction": "c", "input": "x", "output": "d", "history": [["q", "r"], ["s", "t"]]})"),
            conversation({user("q"), assistant("r"), user("s"), assistant("t"), user("c", "x"), assistant("d")}));
  EXPECT_EQ(record(R"({"instruction": "c", "output": "d", "history": []})"), instruction_record("c", "", "d"));
}

TEST_F(Formats, ADialogueInsideOfAnInstructionIsTakenApart) {
  EXPECT_EQ(
      record(R"({"instruction": "Human:你好\nAssistant:您好！\n有什么事？\nHuman: 再见 \nAssistant:", "input": "", "output": "再见。"})"),
      conversation({user("你好"), assistant("您好！\n有什么事？"), user("再见"), assistant("再见。")}));
  EXPECT_EQ(record(R"({"instruction": "\nHuman: a\n\nAssistant: ", "input": "x", "output": "b"})"),
            conversation({user("a", "x"), assistant("b")}));
}

TEST_F(Formats, AnInstructionThatOnlyMentionsTheMarkersStaysWhole) {
  for (const auto* text : {"Continue: Human: hi Assistant:",                                 // not at the beginning of a line
                           "Write on.\nHuman: hi\nAssistant:",                               // something before the first
                           "Assistant: hi\nHuman:", "Assistant: hi\nHuman: oh\nAssistant:",  // begins with the other
                           "Human: a\nHuman: b\nAssistant: c\nAssistant:",                   // twice the same
                           "Human: a\nAssistant: b", "Human: a\nAssistant: b\nHuman: c",     // nothing open
                           "Human: a\\nAssistant:", "Human:", "Assistant:", "Humans: a\nAssistants:"}) {
    Json object{{"instruction", text}, {"input", ""}, {"output", "o"}};
    EXPECT_EQ(record(object.dump()), instruction_record(text, "", "o")) << text;
  }
}

TEST_F(Formats, Airoboros) {
  EXPECT_EQ(record(R"({"instruction": "ASSISTANT: a word", "response": " r</s> ", "category": "orca"})"),
            about(instruction_record("ASSISTANT: a word", "", " r</s> "), "orca"));
  EXPECT_EQ(record(R"({"instruction": "a", "response": "b </s> USER: c ASSISTANT: d</s>USER: e\nASSISTANT: f"})"),
            conversation({user("a"), assistant("b"), user("c"), assistant("d"), user("e"), assistant("f")}));
  EXPECT_EQ(record(R"({"instruction": "a ASSISTANT: b</s> USER: c", "response": "d</s>"})"),
            conversation({user("a"), assistant("b"), user("c"), assistant("d")}));
  EXPECT_THAT(complaint(R"({"instruction": "a", "response": "b</s> USER: c"})"), HasSubstr("USER: without one of ASSISTANT:"));
  EXPECT_EQ(record(R"({"instruction": "a", "context": "x", "response": "b", "category": "closed_qa"})"),
            about(instruction_record("a", "x", "b"), "closed_qa"));
}

TEST_F(Formats, Chatglm) {
  EXPECT_EQ(record(R"({"prompt": "a", "response": "b"})"), instruction_record("a", "", "b"));
  EXPECT_EQ(record(R"({"prompt": "c", "response": "d", "history": [["a", "b"]]})"),
            conversation({user("a"), assistant("b"), user("c"), assistant("d")}));
  EXPECT_THAT(complaint(R"({"prompt": "c", "response": "d", "history": [["a"]]})"), HasSubstr("pairs of a question and an answer"));
}

TEST_F(Formats, EvaluationSets) {
  EXPECT_EQ(record("{\"question\": \"q\", \"std_answer\": \"a\", \"class\": \" Closed\xc2\xa0 QA\"}"),
            about(instruction_record("q", "", "a"), "closed qa"));
  EXPECT_THAT(records(R"({"id": "s", "instruction": "i", "instances": [{"input": "x", "output": "o"}, {"input": "y", "output": "p"}]})"),
              ElementsAre(instruction_record("i", "x", "o"), instruction_record("i", "y", "p")));
  EXPECT_EQ(record(R"({"question_id": 81, "category": "writing", "turns": ["a", "b"], "reference": ["c", "d"]})"),
            about(conversation({user("a"), assistant(""), user("b"), assistant("")}), "writing"));
  EXPECT_EQ(record(R"({"类别": "心理", "题目": "q", "选项": "A:x\nB:y", "答案": "D"})"),
            about(instruction_record("q", "A:x\nB:y", "D"), "心理"));
  EXPECT_EQ(record(R"({"class": "code", "prompt": "p"})"), about(instruction_record("p", "", ""), "code"));
}

TEST_F(Formats, TextIsADocumentALine) {
  EXPECT_THAT(records("[1] one\t\n\n  two \r\n", "a.txt"),
              ElementsAre(conversation({turn(Role::kText, "[1] one\t")}), conversation({turn(Role::kText, "  two ")})));
  EXPECT_EQ(record(R"({"text": "one\ntwo", "language": "EN"})"), about(conversation({turn(Role::kText, "one\ntwo")}), "", "EN"));
  EXPECT_EQ(record(R"({"instruction": "i", "input": "", "output": "o", "text": "all"})"), instruction_record("i", "", "o"))
      << "as Alpaca has it on the hub";
  EXPECT_EQ(records("a\nb\n", "notes.md", {.format = "text"}).size(), 2u);
}

TEST_F(Formats, QuestionTabAnswer) {
  const auto path = file("a.tsv", "q\ta \"quoted\n\n\"p\tb\r\n");
  const auto read = read_records(std::vector{path});
  ASSERT_EQ(read.records.size(), 2u);
  EXPECT_EQ(read.records[0], instruction_record("q", "", "a \"quoted", {0, 1, 1}));
  EXPECT_EQ(read.records[1], instruction_record("\"p", "", "b", {0, 2, 3}));
  EXPECT_THAT(records("\n\ta\nq\t\n", "b.tsv"), ElementsAre(instruction_record("", "", "a"), instruction_record("q", "", "")));
  EXPECT_THAT(complaint("q\ta\nq\ta\tb\n", "bad.tsv"),
              AllOf(HasSubstr("bad.tsv:2 (record 2)"), HasSubstr("3 columns"), HasSubstr("expected two")));
}

TEST_F(Formats, ReasoningMustBeFormattedFirst) {
  EXPECT_THAT(complaint("\nq\ta\tr\n", "cot.tsv"), AllOf(HasSubstr("cot.tsv:2 (record 1)"), HasSubstr("herd data format")));
  EXPECT_THAT(complaint("q\ta\tr\n", "cot.tsv", {.broken = Broken::kSkip}), HasSubstr("herd data format"));
  EXPECT_THAT(complaint("q\ta\tr\n", "cot", {.format = "cot"}), HasSubstr("herd data format"));
}

TEST_F(Formats, CommaSeparatedValues) {
  const auto path =
      file("a.csv",
           "\xef\xbb\xbfoutput,weight,\"instruction\",id\r\n\"a \"\"b\"\", c\n\nd\",2,e f,1\r\n\r\n,,\"\",\"\"\n\"x\",0.5,\"y\"\"\",z\"z");
  const auto read = read_records(std::vector{path});
  ASSERT_EQ(read.records.size(), 3u);
  EXPECT_EQ(read.records[0], about([] { return instruction_record("e f", "", "a \"b\", c\n\nd", {0, 1, 2}); }(), "", "", 2));
  EXPECT_EQ(read.records[1], instruction_record("", "", "", {0, 2, 6}));
  EXPECT_EQ(read.records[2], about(instruction_record("y\"", "", "x", {0, 3, 7}), "", "", 0.5));
}

TEST_F(Formats, ColumnsSayWhichFieldIsWhich) {
  const ReadOptions options{.columns = {{"instruction", "Question"}, {"output", "Answer"}, {"category", "kind"}}};
  const auto expected = about(instruction_record("q", "", "a"), "k");
  EXPECT_EQ(record("Answer,Question,kind\na,q,k\n", "a.csv", options), expected);
  EXPECT_EQ(record("kind\tAnswer\tQuestion\nk\ta\tq\n", "a.tsv", options), expected);
  EXPECT_EQ(record(R"([{"Question": "q", "Answer": "a", "kind": "k", "output": "another"}])", "a.json", options), expected);
  EXPECT_EQ(read(file("b.csv", "Answer,Question,kind\na,q,k\n"), options).without_input, 0) << "as was asked for";
  EXPECT_EQ(read(file("b.csv", "instruction,output\nq,a\n")).without_input, 1);
  EXPECT_EQ(record("instruction\tinput\toutput\nq\tx\ta\n", "a.tsv"), instruction_record("q", "x", "a"));

  EXPECT_THAT(complaint("Answr,Question,kind\na,q,k\n", "bad.csv", options),
              AllOf(HasSubstr("bad.csv:1"), HasSubstr("no column 'Answer'"), HasSubstr("did you mean 'Answr'?")));
  EXPECT_THAT(complaint(R"({"Question": "q"})", "bad.json", options), HasSubstr("no column 'Answer'"));
  EXPECT_THAT(complaint("a,b\nc,d\n", "bad.csv"), AllOf(HasSubstr("a header without 'instruction': a, b"), HasSubstr("data columns:")));
  EXPECT_THAT(complaint("a\tb\tc\td\n", "bad.tsv"), AllOf(HasSubstr("4 columns under no known header"), HasSubstr("data columns:")));
  EXPECT_THAT(test::message_of<ConfigError>([&] {
                RecordReader({"a"}, {.columns = {{"outptu", "a"}}});
              }),
              HasSubstr("did you mean 'output'?"));
  EXPECT_THAT(test::message_of<ConfigError>([&] {
                RecordReader({"a"}, {.columns = {{"output", "a"}}});
              }),
              HasSubstr("no column for 'instruction'"));
}

TEST_F(Formats, AreToldByTheirFieldsOrTheError) {
  EXPECT_THAT(complaint(R"({"name": "n", "value": 1})"),
              AllOf(HasSubstr("bad.json:1 (record 1)"), HasSubstr("no known format"), HasSubstr("'name', 'value'")));
  EXPECT_THAT(complaint(R"({"instruction": "n", "answer": ""})"),
              HasSubstr("'alpaca' would be the nearest, but there is no field 'output'"));
  EXPECT_THAT(complaint(R"({"instruction": "n", "output": "", "messages": []})"),
              AllOf(HasSubstr("any of alpaca, openai"), HasSubstr("data format: alpaca")));
  EXPECT_EQ(record(R"({"instruction": "n", "output": "o", "messages": []})", "a.json", {.format = "alpaca"}),
            instruction_record("n", "", "o"));
  EXPECT_THAT(complaint("no tabs, no name\n", "words"), AllOf(HasSubstr("text, csv, tsv"), HasSubstr("data format:")));
  EXPECT_THAT(test::message_of<ConfigError>([&] { RecordReader({"a"}, {.format = "alpacca"}); }), HasSubstr("did you mean 'alpaca'?"));
}

TEST_F(Formats, AFileKeepsToOne) {
  const std::string alpaca = R"({"instruction": "i", "input": "", "output": "o"})",
                    other = R"({"messages": [{"role": "user", "content": "q"}]})";
  EXPECT_THAT(complaint(alpaca + "\n" + other),
              AllOf(HasSubstr("bad.json:2 (record 2)"), HasSubstr("format 'openai'"), HasSubstr("'alpaca', as the file begins")));
  EXPECT_THAT(complaint("[" + alpaca + "]\n" + alpaca), HasSubstr("text after the end of the array"));
  EXPECT_THAT(complaint(alpaca + "\nq\ta\n"), HasSubstr("bad.json:2 (record 2)"));
  EXPECT_EQ(read_records(std::vector{file("a", alpaca), file("b", other)}).records.size(), 2u) << "each file for itself";
}

TEST(RecordFormats, AllSayWhatTheyAre) {
  for (const auto& [name, format] : record_formats()) EXPECT_FALSE(format.description.empty() || format.looks_like.empty()) << name;
}

}  // namespace
}  // namespace herd
