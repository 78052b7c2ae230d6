// Tables as Markdown or HTML inside an instruction record.
#include "data/format/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/format/belle.h"
#include "tests/data/text_files.h"

namespace herd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

constexpr const char* kPlain = R"({
  "header": ["Year", "Host | city", "Gold"],
  "rows": [
    ["1896", "Athens", 10],
    ["1900", "Paris\nand around", 26.5],
    ["1904", "St. Louis <3", null],
    [{"text": "1908"}, "a\\b", true]
  ],
  "title": "Games",
  "question": "Who was first?",
  "answer": "Athens",
  "table_type": "vertical",
  "task_type": "TQA",
  "dataset": "made here",
  "other": {"not": ["kept"]}
}
)";

constexpr const char* kMerged = R"({"header": [[{"text": "Team", "rowspan": 2}, {"text": "Goals", "colspan": 2}], ["home", "away"]],
 "rows": [["A & B", 1, 2], [{"text": "C", "rowspan": 2}, "3\n4", "<5>"], [{"text": "none", "colspan": 2}]],
 "question": "q", "answer": "a"})";

class Tables : public test::TextFiles {
 protected:
  Json formatted(const std::string& text) {
    format_tables({file("in.json", text)}, output());
    return written_objects().at(0);
  }
  std::string complaint(std::string_view text) {
    return test::message_of<DataError>([&] { format_tables({file("in.json", text)}, output()); });
  }
};

TEST_F(Tables, MarkdownWhereNothingIsMerged) {
  const auto record = formatted(kPlain);
  EXPECT_EQ(record.at("input"),
            "Table:\n"
            "| Year | Host \\| city | Gold |\n"
            "| --- | --- | --- |\n"
            "| 1896 | Athens | 10 |\n"
            "| 1900 | Paris<br>and around | 26.5 |\n"
            "| 1904 | St. Louis <3 |  |\n"
            "| 1908 | a\\\\b | true |\n"
            "Table title:\nGames\n"
            "Question:\nWho was first?");
  EXPECT_EQ(record.at("output"), "Athens");
  EXPECT_FALSE(record.at("instruction").get<std::string>().empty());
  EXPECT_EQ(record.at("category"), "TQA");
  EXPECT_EQ(record.at("table_type"), "vertical");
  EXPECT_EQ(record.at("task_type"), "TQA");
  EXPECT_EQ(record.at("dataset"), "made here");
  EXPECT_EQ(record.size(), 7u);
}

TEST_F(Tables, HtmlWhereCellsAreMerged) {
  const auto record = formatted(kMerged);
  EXPECT_EQ(record.at("input"),
            "Table:\n"
            "<table>\n"
            "<tr><th rowspan=\"2\">Team</th><th colspan=\"2\">Goals</th></tr>\n"
            "<tr><th>home</th><th>away</th></tr>\n"
            "<tr><td>A &amp; B</td><td>1</td><td>2</td></tr>\n"
            "<tr><td rowspan=\"2\">C</td><td>3<br>4</td><td>&lt;5&gt;</td></tr>\n"
            "<tr><td colspan=\"2\">none</td></tr>\n"
            "</table>\n"
            "Table title:\n\n"
            "Question:\nq");
  EXPECT_EQ(record.size(), 3u);
}

TEST_F(Tables, OneMergedCellIsEnoughAndTwoHeaderRowsAre) {
  EXPECT_THAT(formatted(R"({"header": ["a", "b"], "rows": [[{"text": "c", "colspan": 2}]], "question": "", "answer": ""})").at("input"),
              HasSubstr("<th>a</th>"));
  EXPECT_THAT(formatted(R"({"header": [["a"], ["b"]], "rows": [["c"]], "question": "", "answer": ""})").at("input"),
              HasSubstr("<tr><th>b</th></tr>"));
  EXPECT_THAT(formatted(R"({"header": ["a"], "rows": [[{"text": "c", "colspan": 1}]], "question": "", "answer": ""})").at("input"),
              HasSubstr("| c |"));
}

TEST_F(Tables, WithoutAHeaderMarkdownHasAnEmptyOne) {
  EXPECT_THAT(formatted(R"({"rows": [["a", 1], ["b", 2]], "instruction": "Look.", "question": "q", "answer": "x"})"),
              testing::Eq(Json{{"instruction", "Look."},
                               {"input", "Table:\n|  |  |\n| --- | --- |\n| a | 1 |\n| b | 2 |\nTable title:\n\nQuestion:\nq"},
                               {"output", "x"}}));
}

TEST_F(Tables, ReadsArraysAndLines) {
  const std::string one = R"({"rows": [["a"]], "question": "}{\"", "answer": "1"})",
                    two = R"({"rows": [["b"]], "question": "q", "answer": "2"})";
  EXPECT_EQ(format_tables({file("a.json", "[\n" + one + " ,\n" + two + "]\n"), file("b.jsonl", one + "\n\n" + two)}, output()), 4);
  EXPECT_EQ(written_objects().at(3).at("output"), "2");
}

TEST_F(Tables, GridsThatDoNotCloseAreNamed) {
  const auto table = [](const std::string& rows) {
    return "\n\n{\"question\": \"q\", \"answer\": \"a\", \"header\": [\"x\", \"y\"], \"rows\": " + rows + "}";
  };
  EXPECT_THAT(complaint(table("[[1, 2], [3]]")),
              AllOf(HasSubstr("in.json:3 (record 1)"), HasSubstr("fewer cells"), HasSubstr("table row 2")));
  EXPECT_THAT(complaint(table("[[1, 2, 3]]")), HasSubstr("more cells"));
  EXPECT_THAT(complaint(table("[[{\"rowspan\": 3}, 2], [3]]")), HasSubstr("below the last row"));
  EXPECT_THAT(complaint(table("[[1, {\"rowspan\": 2}], [{\"colspan\": 2}]]")), HasSubstr("over one that reaches down"));
  EXPECT_THAT(complaint(table("[[{\"rowspan\": 0}, 2]]")), HasSubstr("rowspan 0"));
  EXPECT_THAT(complaint(table("[[{\"span\": 2}, 2]]")), HasSubstr("unknown field 'span'"));
  EXPECT_THAT(complaint(table("[[[1], 2]]")), HasSubstr("an array as a cell"));
  EXPECT_THAT(complaint(table("[]")), HasSubstr("without rows"));
}

TEST_F(Tables, BrokenFilesAreNamed) {
  EXPECT_THAT(complaint(R"({"rows": [["a"]], "qestion": "q", "answer": "a"})"),
              AllOf(HasSubstr("no field 'question'"), HasSubstr("'qestion' meant")));
  EXPECT_THAT(complaint(R"({"rows": [["a"]], "question": 3, "answer": "a"})"), HasSubstr("a number in field 'question'"));
  EXPECT_THAT(complaint("[{\"rows\": [[\"a\"]], \"question\": \"q\", \"answer\": \"a\"},\n]"),
              AllOf(HasSubstr("in.json:2"), HasSubstr("']'")));
  EXPECT_THAT(complaint("{\"rows\": "), HasSubstr("without its end"));
  EXPECT_THAT(complaint("{\"rows\": oops}"), AllOf(HasSubstr("in.json:1 (record 1)"), HasSubstr("broken JSON")));
  EXPECT_THAT(complaint("a,b\n"), HasSubstr("'a'"));
  EXPECT_THAT(complaint("[]"), HasSubstr("no object"));
  EXPECT_THAT(complaint(""), HasSubstr("no object"));
}

TEST_F(Tables, BellesConversationsJoinInstructionAndInput) {
  BelleRequest request{
      .files = {file("a.json",
                     R"([{"instruction": "Add: ", "input": "1 2", "output": "3"}, {"instruction": "Hi", "input": null, "output": "Ho"}])")},
      .output = output()};
  EXPECT_EQ(format_belle(request), 2);
  EXPECT_EQ(written(), R"({"id":"belle-1","conversations":[{"from":"human","value":"Add: 1 2"},{"from":"assistant","value":"3"}]})"
                       "\n"
                       R"({"id":"belle-2","conversations":[{"from":"human","value":"Hi"},{"from":"assistant","value":"Ho"}]})"
                       "\n");
  request.between = "\n";
  format_belle(request);
  EXPECT_EQ(written_objects().at(0).at("conversations").at(0).at("value"), "Add: \n1 2");
  EXPECT_EQ(written_objects().at(1).at("conversations").at(0).at("value"), "Hi");
}

}  // namespace
}  // namespace herd
