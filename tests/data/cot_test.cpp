// Reasoning sets through templates: Alpaca-CoT's published files as the oracle, exact expectations for all else.
#include "data/format/cot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/data/text_files.h"
#include "tests/support/assets.h"

namespace herd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path facts(const char* name) { return test::assets().parent_path() / "spec/facts" / name; }
std::filesystem::path shipped() { return test::source_dir() / "configs/data/cot_templates.yaml"; }

std::vector<CotRow> rows_of(const std::filesystem::path& file, CotCompat compat = CotCompat::kNone) {
  CotRows rows(file, compat);
  std::vector<CotRow> all;
  for (CotRow row; rows.next(row);) all.push_back(row);
  return all;
}

struct Published {
  const char* set;
  std::size_t records;
};
void PrintTo(const Published& published, std::ostream* out) { *out << published.set; }

class PublishedSet : public testing::TestWithParam<Published> {
 protected:
  std::string tsv() const { return std::string("data/cot-tsv/") + GetParam().set + "_train.tsv"; }
};

TEST_P(PublishedSet, EveryRecordIsATemplateOfItsOwnRow) {
  const auto formatted = std::string("data/cot-formatted/") + GetParam().set + "_train.json";
  HERD_NEED_ASSET(tsv());
  HERD_NEED_ASSET(formatted);
  if (!std::filesystem::exists(facts("cot_templates.json"))) GTEST_SKIP() << "no ../shared/spec/facts";
  const auto templates = read_cot_templates(facts("cot_templates.json"), GetParam().set);
  const auto rows = rows_of(test::assets() / tsv(), CotCompat::kAlpacaCot);
  const auto published = nlohmann::json::parse(read_file(test::assets() / formatted));

  ASSERT_EQ(rows.size(), GetParam().records);
  ASSERT_EQ(published.size(), rows.size());
  std::set<std::size_t> used;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto wanted = instruction_record(published[i].at("instruction"), published[i].at("input"), published[i].at("output"));
    const auto candidates = cot_candidates(templates, rows[i]);
    const auto found = std::ranges::find(candidates, wanted);
    ASSERT_NE(found, candidates.end()) << GetParam().set << " row " << i;
    used.insert(static_cast<std::size_t>(found - candidates.begin()));
  }
  EXPECT_EQ(used.size(), templates.size());  // no template is one that we alone read
}

INSTANTIATE_TEST_SUITE_P(AlpacaCot, PublishedSet,
                         testing::Values(Published{"aqua", 2728}, Published{"creak", 6915}, Published{"strategyqa", 2061}),
                         [](const auto& info) { return std::string(info.param.set); });

TEST(Cot, Gsm8kHasItsPublishedCount) {
  HERD_NEED_ASSET("data/cot-tsv/gsm8k_train.tsv");
  for (const auto compat : {CotCompat::kNone, CotCompat::kAlpacaCot})
    EXPECT_EQ(rows_of(test::assets() / "data/cot-tsv/gsm8k_train.tsv", compat).size(), 7473u);
}

TEST(Cot, FlansFilesHaveTheirTemplates) {
  if (!std::filesystem::exists(facts("cot_templates.json"))) GTEST_SKIP() << "no ../shared/spec/facts";
  std::size_t all = 0;
  for (const auto& set : cot_sets(facts("cot_templates.json"))) all += read_cot_templates(facts("cot_templates.json"), set).size();
  EXPECT_EQ(all, 100u);
  EXPECT_EQ(read_cot_templates(facts("flan_cot_input_inversion_templates.json"), "any").size(), 18u);
}

TEST(Cot, ShippedTemplatesServeTheNineSets) {
  EXPECT_THAT(cot_sets(shipped()),
              testing::UnorderedElementsAre("aqua", "qed", "gsm8k", "strategyqa", "creak", "qasc", "esnli", "ecqa", "sensemaking"));
  const CotRow row{"<question>", "<answer>", "<reasoning>"};
  for (const auto& set : cot_sets(shipped())) {
    std::set<std::string> contents;
    for (const auto& record : cot_candidates(read_cot_templates(shipped(), set), row)) {
      EXPECT_THAT(record.turns[0].text, AllOf(HasSubstr("<question>"), testing::Not(HasSubstr("<answer>")))) << set;
      EXPECT_THAT(record.turns[1].text, AllOf(HasSubstr("<reasoning>"), HasSubstr("<answer>"))) << set;
      contents.insert(content_of(record));
    }
    EXPECT_GE(contents.size(), 10u) << set;
  }
}

class CotFiles : public test::TextFiles {
 protected:
  CotFiles() { file("t.yaml", "common: [{instruction: 'c {question}', output: '{chain_of_thought}={answer}'}]\nx: []\n"); }

  std::string complaint(std::string_view tsv, CotCompat compat = CotCompat::kNone) {
    return test::message_of<DataError>([&] { rows_of(file("in.tsv", tsv), compat); });
  }
  std::string template_complaint(std::string_view yaml) {
    return test::message_of<DataError>([&] { read_cot_templates(file("bad.yaml", yaml), "x"); });
  }
  CotRequest request(std::string_view tsv) {
    return {.inputs = {{file("in.tsv", tsv), "x"}}, .templates = scratch_ / "t.yaml", .output = output()};
  }
};

TEST_F(CotFiles, DecodesLineEndsAndKeepsQuotes) {
  const auto rows = rows_of(file("a.tsv", "\"q\" \\n \"\"x\t\"a\"\tone\\ntwo\\\\n\r\n1\t2\t3"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].question, "\"q\" \n \"\"x");
  EXPECT_EQ(rows[0].answer, "\"a\"");
  EXPECT_EQ(rows[0].reasoning, "one\ntwo\\\n");
  EXPECT_EQ(rows[1].reasoning, "3");
}

TEST_F(CotFiles, CompatReadsAsPythonsCsvDoes) {
  // By python3: list(csv.reader(io.StringIO(text, newline=None), delimiter="\t"))
  const auto rows =
      rows_of(file("a.tsv", "\"say \"\"hi\"\"\\n\"\tb\"c\"\t\"d\"e\"f\n\"over\ttab\nand line\"\t\"\"\"\"\tz\n"), CotCompat::kAlpacaCot);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].question, "say \"hi\"\\n");
  EXPECT_EQ(rows[0].answer, "b\"c\"");
  EXPECT_EQ(rows[0].reasoning, "de\"f");
  EXPECT_EQ(rows[1].question, "over\ttab\nand line");
  EXPECT_EQ(rows[1].answer, "\"");
}

TEST_F(CotFiles, ARowsTemplateDependsOnNoOtherRow) {
  std::vector<std::size_t> chosen;
  for (std::uint64_t row = 0; row < 200; ++row) chosen.push_back(choose_cot(7, "aqua", row, 10));
  EXPECT_EQ(choose_cot(7, "aqua", 150, 10), chosen[150]);  // alone, as after 150 others
  EXPECT_EQ(std::set(chosen.begin(), chosen.end()).size(), 10u);
  const auto others = [&](std::uint64_t seed, const char* set) {
    int differ = 0;
    for (std::uint64_t row = 0; row < 200; ++row) differ += choose_cot(seed, set, row, 10) != chosen[row];
    return differ;
  };
  EXPECT_GT(others(8, "aqua"), 150);
  EXPECT_GT(others(7, "qed"), 150);
}

TEST_F(CotFiles, JoinsSetsAndCountsEach) {
  auto asked = request("q1\ta1\tr1\nq2\ta2\tr2\n");
  asked.inputs.push_back({file("two.tsv", "q3\ta3\t{answer} r3\n"), "x"});
  asked.inversions = file("i.json", R"([{"input": "{{why}} {answer}", "output": "{question}"}])");
  const auto counts = format_cot(asked);
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts[0].records, 2);
  EXPECT_EQ(counts[1].records, 1);
  EXPECT_EQ(counts[1].inverted, 1);
  EXPECT_EQ(
      written(),
      "{\"instruction\":\"c q1\",\"input\":\"\",\"output\":\"r1=a1\"}\n{\"instruction\":\"c q2\",\"input\":\"\",\"output\":\"r2=a2\"}\n"
      "{\"instruction\":\"{why} a1\",\"input\":\"\",\"output\":\"q1\"}\n{\"instruction\":\"{why} a2\",\"input\":\"\",\"output\":\"q2\"}\n"
      "{\"instruction\":\"c q3\",\"input\":\"\",\"output\":\"{answer} r3=a3\"}\n{\"instruction\":\"{why} "
      "a3\",\"input\":\"\",\"output\":\"q3\"}\n");
}

TEST_F(CotFiles, BrokenRowsAreNamed) {
  EXPECT_THAT(complaint("a\tb\tc\na\tb\n"), AllOf(HasSubstr("in.tsv:2"), HasSubstr("2 columns"), HasSubstr("three")));
  EXPECT_THAT(complaint("a\tb\tc\td\n"), AllOf(HasSubstr("in.tsv:1"), HasSubstr("4 columns")));
  EXPECT_THAT(complaint("a\tb\tc\n\na\tb\tc\n"), AllOf(HasSubstr("in.tsv:2"), HasSubstr("an empty line")));
  EXPECT_THAT(complaint("a\t\tc\n"), AllOf(HasSubstr("in.tsv:1"), HasSubstr("no answer")));
  EXPECT_THAT(complaint(std::string_view("a\tb\tc\na\tb\0\tc\n", 13)), AllOf(HasSubstr("in.tsv:2"), HasSubstr("NUL")));
  EXPECT_THAT(complaint("a\tb\tc\na\tb\xff\tc\n"), AllOf(HasSubstr("in.tsv:2"), HasSubstr("0xff at position 4")));
  EXPECT_THAT(complaint("a\tb\tc\n\"a\tb\tc\na\tb\tc\n", CotCompat::kAlpacaCot), AllOf(HasSubstr("in.tsv:2"), HasSubstr("1 column;")));
  EXPECT_THAT(complaint("a\tb\tc\n\"" + std::string(140000, 'x') + "\n", CotCompat::kAlpacaCot),
              AllOf(HasSubstr("in.tsv:2"), HasSubstr("131,072")));
}

TEST_F(CotFiles, BrokenTemplatesAreNamed) {
  EXPECT_THAT(template_complaint("x:\n - {instruction: '{question}', output: '{anwser}'}"),
              AllOf(HasSubstr("bad.yaml:2:"), HasSubstr("{anwser}"), HasSubstr("'answer'?")));
  EXPECT_THAT(template_complaint("[{instruction: '{}', output: '{answer}'}]"), HasSubstr("unknown slot '{}'"));
  EXPECT_THAT(template_complaint("[{instruction: 'a } b', output: '{answer}'}]"), HasSubstr("without its partner"));
  EXPECT_THAT(template_complaint("[{instruction: '{question', output: '{answer}'}]"), HasSubstr("without its partner"));
  EXPECT_THAT(template_complaint("[{instruction: '{question}', output: 'yes'}]"), HasSubstr("same for every row"));
  EXPECT_THAT(template_complaint("[{instruction: '{question}'}]"), HasSubstr("no text 'output'"));
  EXPECT_THAT(template_complaint("[{instruktion: '{question}', output: '{answer}'}]"), HasSubstr("unknown key 'instruktion'"));
  EXPECT_THAT(template_complaint("y: []\nxx: []"), AllOf(HasSubstr("no set 'x'"), HasSubstr("y, xx")));
  EXPECT_THAT(template_complaint("x: []"), HasSubstr("no template"));
}

TEST_F(CotFiles, WritesNothingWhereItFails) {
  EXPECT_THAT(test::message_of<DataError>([&] { format_cot(request("a\tb\tc\nbad\n")); }), HasSubstr("in.tsv:2"));
  EXPECT_THAT(test::message_of<DataError>([&] { format_cot(request("")); }), HasSubstr("an empty file"));
  auto onto_itself = request("a\tb\tc\n");
  onto_itself.output = onto_itself.inputs[0].file;
  EXPECT_THAT(test::message_of<DataError>([&] { format_cot(onto_itself); }), HasSubstr("the output is an input"));
  EXPECT_EQ(read_file(scratch_ / "in.tsv"), "a\tb\tc\n");
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(scratch_.path())) left.push_back(entry.path().filename());
  EXPECT_THAT(left, testing::UnorderedElementsAre("in.tsv", "t.yaml"));
}

}  // namespace
}  // namespace herd
