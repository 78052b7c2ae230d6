// What is wrong with a file, and what a broken record costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/readers/paths.h"
#include "tests/data/record_files.h"
#include "tests/data/toy_records.h"

namespace herd {
namespace {

using test::line;
using test::RecordFiles;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::literals;

class BrokenFiles : public RecordFiles {
 protected:
  /// The first words of the records that are left, and what was counted.
  std::vector<std::string> left_of(std::string_view text, const std::string& name = "set.json") {
    const auto read = RecordFiles::read(file(name, text), {.broken = Broken::kSkip});
    report_ = read.report;
    EXPECT_EQ(read.report.records, std::ssize(read.records));
    std::vector<std::string> out;
    for (const auto& record : read.records) out.push_back(record.turns[0].text);
    return out;
  }

  ReadReport report_;
};

TEST_F(BrokenFiles, ABrokenRecordCostsItselfAlone) {
  EXPECT_THAT(left_of(line("a", "o") + "{\"instruction\": oops}\n" + line("b", "o") + "[1]\n{\"instruction\": \"cut\n" + line("c", "o") +
                      "{\"instruction\": \"c\xff\"}\n" + line("d", "o")),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(report_.broken, 4);
  ASSERT_EQ(report_.reasons.size(), 4u);
  EXPECT_THAT(report_.reasons[0], AllOf(HasSubstr("set.json:2 (record 2)"), HasSubstr("broken JSON")));
  EXPECT_THAT(report_.reasons[1], AllOf(HasSubstr("set.json:4 (record 4)"), HasSubstr("an array")));
  EXPECT_THAT(report_.reasons[2], HasSubstr("set.json:5 (record 5)"));
  EXPECT_THAT(report_.reasons[3], AllOf(HasSubstr("set.json:7 (record 7)"), HasSubstr("UTF-8")));

  const auto array = "[" + line("a", "o") + ", {\"instruction\": \"x\" \"y\"},\n 7, {\"instruction\": \"n\"}, {\"a\": 1}},\n,{\"b\": 2]," +
                     line("b", "o") + ",]";
  EXPECT_THAT(left_of(array), ElementsAre("a", "b"));
  EXPECT_EQ(report_.broken, 7);
  EXPECT_EQ(report_.reasons.size(), 5u) << "the first few";

  EXPECT_THAT(left_of("instruction,output\na,b,c\n\"d\"e,f\ng,h\n", "set.csv"), ElementsAre("g"));
  EXPECT_THAT(left_of("a\tb\nc\nd\te\n", "set.tsv"), ElementsAre("a", "d"));
  EXPECT_THAT(left_of("oops\n{\"instruction\": \n" + line("a", "o")), ElementsAre("a"))
      << "the format is told by the first that can be read";
}

TEST_F(BrokenFiles, AFileThatBreaksOffIsAnErrorWhateverBecomesOfRecords) {
  const ReadOptions skip{.broken = Broken::kSkip};
  EXPECT_THAT(complaint("[\n" + line("a", "o"), "bad.json", skip),
              AllOf(HasSubstr("bad.json:3 (record 2)"), HasSubstr("the array is not closed")));
  EXPECT_THAT(complaint("[\n" + line("a", "o") + ",\n{\"instruction\": \"b", "bad.json", skip),
              AllOf(HasSubstr("bad.json:4 (record 2)"), HasSubstr("the record that begins here is not closed")));
  EXPECT_THAT(complaint("{\n\"instruction\": \"b\",\n", "bad.json", skip),
              AllOf(HasSubstr("bad.json:1 (record 1)"), HasSubstr("not closed")));
  EXPECT_THAT(complaint("instruction,output\na,b\n\"c,\nd,e\n", "bad.csv", skip),
              AllOf(HasSubstr("bad.csv:3 (record 2)"), HasSubstr("quoted field that is not closed")));
  EXPECT_THAT(complaint("[" + line("a", "o") + "]\n\n[]", "bad.json", skip),
              AllOf(HasSubstr("bad.json:4"), HasSubstr("text after the end of the array")));
  EXPECT_THAT(complaint("{\n\"instruction\": \"b\", \"output\": \"\"\n},\n{\n}", "bad.json", skip),
              AllOf(HasSubstr("bad.json:3 (record 2)"), HasSubstr("a comma")));
}

TEST_F(BrokenFiles, TheFirstBrokenRecordSpeaksFirst) {
  EXPECT_THAT(complaint("{\"instruction\": oops}\n{\"unknown\": 1}\n"), HasSubstr("bad.json:1 (record 1)"));
  EXPECT_THAT(complaint("[{\"instruction\": oops},\n" + line("a", "o")), HasSubstr("bad.json:1 (record 1)"));
  std::string many;
  for (int i = 0; i < 5000; ++i) many += i == 700 || i == 4500 ? "oops\n" : line("a", "o");
  EXPECT_THAT(complaint(many), HasSubstr("bad.json:701 (record 701)"));
}

TEST_F(BrokenFiles, ErrorsInsideOfALongRecordNameTheirOwnLine) {
  EXPECT_THAT(complaint("\n{\n \"instruction\": \"a\",\n \"output\": oops\n}\n"),
              AllOf(HasSubstr("bad.json:4 (record 1)"), HasSubstr("broken JSON")));
  EXPECT_THAT(complaint("\n{\n \"instruction\": \"a\"\n}\n{\n}"),
              AllOf(HasSubstr("bad.json:2 (record 1)"), HasSubstr("no field 'output'")));
}

TEST_F(BrokenFiles, FieldsOfAnotherKindAreNamed) {
  const auto with = [](const std::string& more) { return R"({"instruction": "i", "input": "", "output": "o", )" + more + "}"; };
  EXPECT_THAT(complaint(with(R"("category": ["a"])")), HasSubstr("an array in field 'category'"));
  EXPECT_THAT(complaint(with(R"("weight": "heavy")")), HasSubstr("a string in field 'weight'"));
  EXPECT_THAT(complaint(with(R"("weight": -1)")), HasSubstr("the weight -1"));
  EXPECT_THAT(complaint(with(R"("history": [["a", 1]])")), HasSubstr("pairs of a question and an answer"));
  EXPECT_THAT(complaint(with(R"("system": {})")), HasSubstr("an object in field 'system'"));
  EXPECT_THAT(complaint("instruction,output,weight\na,b,heavy\n", "bad.csv"), HasSubstr("the weight 'heavy'"));
  EXPECT_THAT(complaint("instruction,output,output\na,b,c\n", "bad.csv"), HasSubstr("column 'output' twice"));
}

std::string wide(std::string_view ascii, std::string_view before, std::string_view after) {
  std::string out;
  for (const char c : ascii) out += std::string(before) + c + std::string(after);
  return out;
}

TEST_F(BrokenFiles, TextInOtherEncodings) {
  const std::pair<std::string, const char*> files[] = {{"\xff\xfe" + wide("{\"a\"", "", "\0"sv), "UTF-16LE"},
                                                       {"\xfe\xff" + wide("{\"a\"", "\0"sv, ""), "UTF-16BE"},
                                                       {wide("{\"a\"", "", "\0"sv), "UTF-16LE"},
                                                       {wide("{\"a\"", "\0"sv, ""), "UTF-16BE"},
                                                       {"\xff\xfe\0\0"s + wide("{\"a\"", "", "\0\0\0"sv), "UTF-32LE"},
                                                       {"\0\0\xfe\xff"s + wide("{\"a\"", "\0\0\0"sv, ""), "UTF-32BE"}};
  for (const auto& [text, encoding] : files)
    EXPECT_THAT(complaint(text), AllOf(HasSubstr("text in "s + encoding), HasSubstr("iconv -f "s + encoding))) << encoding;

  // 请用一句话描述你所在的城市 and the like in GB18030; ein wenig Deutsch in Latin-1
  const auto gbk =
      "\xc7\xeb\xd3\xc3\xd2\xbb\xbe\xe4\xbb\xb0\xc3\xe8\xca\xf6\xc4\xe3\xcb\xf9\xd4\xda\xb5\xc4\xb3\xc7\xca\xd0\xa3\xac\xb2\xa2\xcb\xb5\xc3\xf7\xc0\xed\xd3\xc9"s;
  for (const auto* name : {"bad.json", "bad.txt", "bad.tsv"})
    EXPECT_THAT(complaint(name == "bad.json"s ? line("x", "o").insert(17, gbk) : gbk + "\t" + gbk + "\n", name),
                AllOf(HasSubstr("not valid UTF-8 (byte 0xc7"), HasSubstr("iconv -f GB18030")))
        << name;
  EXPECT_THAT(complaint("[\n{\"instruction\": \"" + gbk + "\xd5\\\", \"output\": \"\"}]"),
              AllOf(HasSubstr("bad.json:2 (record 1)"), HasSubstr("iconv -f GB18030")))
      << "whose last byte looks like a backslash";
  EXPECT_THAT(complaint("Die gr\xf6\xdfte T\xfcr \xf6"
                        "ffnet sich f\xfcr den K\xf6nig und die K\xf6nigin, wenn sie m\xf6gen.\n",
                        "bad.txt"),
              HasSubstr("iconv -f ISO-8859-1"));
  EXPECT_THAT(complaint(line("a", "o") + "{\"instruction\": \"a\0b\", \"output\": \"\"}\n"s),
              AllOf(HasSubstr("bad.json:2 (record 2)"), HasSubstr("a NUL byte")));
  EXPECT_THAT(complaint("one\ntw\0o\n"s, "bad.txt"), AllOf(HasSubstr("bad.txt:2"), HasSubstr("a NUL byte")));
}

using Paths = RecordFiles;

TEST_F(Paths, AreExpandedInOrder) {
  const auto root = folder_.path();
  for (const auto* name : {"b.json", "a.jsonl.gz", "notes.md", ".hidden.json", "x[1].json"}) file(name, "");
  std::filesystem::create_directories(root / "deep/er");
  for (const auto* name : {"deep/c.csv", "deep/er/d.TXT.zst", "deep/er/b.json"}) file(name, "");
  const auto expanded = [&](const std::string& pattern) {
    std::vector<std::string> out;
    for (const auto& path : expand_paths(std::vector{(root / pattern).string()}))
      out.push_back(std::filesystem::relative(path, root).string());
    return out;
  };
  EXPECT_THAT(expanded("*.json"), ElementsAre("b.json", "x[1].json"));
  EXPECT_THAT(expanded("?.jso?"), ElementsAre("b.json"));
  EXPECT_THAT(expanded("[ab].json*"), ElementsAre("a.jsonl.gz", "b.json"));
  EXPECT_THAT(expanded("**/b.json"), ElementsAre("b.json", "deep/er/b.json"));
  EXPECT_THAT(expanded("deep/*/*.json"), ElementsAre("deep/er/b.json"));
  EXPECT_THAT(expanded("x[1].json"), ElementsAre("x[1].json")) << "a name that exists is no pattern";
  EXPECT_THAT(expanded("notes.md"), ElementsAre("notes.md"));
  EXPECT_THAT(expanded("."), ElementsAre("a.jsonl.gz", "b.json", "deep/c.csv", "deep/er/b.json", "deep/er/d.TXT.zst", "x[1].json"));
  EXPECT_THAT(test::message_of<IoError>([&] { expanded("note.md"); }),
              AllOf(HasSubstr("no such file"), HasSubstr("did you mean '" + (root / "notes.md").string())));
  EXPECT_THAT(test::message_of<IoError>([&] { expanded("*.jsn"); }), HasSubstr("no such file"));
  std::filesystem::create_directory(root / "empty");
  EXPECT_THAT(test::message_of<IoError>([&] { expanded("empty"); }), HasSubstr("no file of data in this folder"));
}

}  // namespace
}  // namespace herd
