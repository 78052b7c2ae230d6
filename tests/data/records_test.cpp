#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "data/dataset.h"
#include "data/template/template.h"
#include "runtime/base/error.h"
#include "tests/data/record_files.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"

namespace herd {
namespace {

using test::ByteTokenizer;
using test::line;
using test::options;
using test::RecordFiles;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(RecordFiles, ReadsArraysAndLinesByContent) {
  const auto array = file("a.json", "\xef\xbb\xbf\n[\n {\"instruction\": \"i\\u00e9\\n\", \"input\": \"\", \"output\": \"o\", \"id\": [1, {\"output\": 3}]},\n"
                                    " {\"output\": \"答\",\n  \"input\": \"x\", \"instruction\": \"j\"}\n]\n");
  const auto lines = file("b.json", line("k", "p") + "\n  \r\n" + "{\"instruction\": \"l\", \"input\": \"y\", \"output\": \"q\"}");
  const auto read = read_records(std::vector{array, lines});

  ASSERT_EQ(read.records.size(), 4u);
  EXPECT_EQ(read.records[0].turns[0].text, "ié\n");
  EXPECT_EQ(read.records[0].turns[1].text, "o");
  EXPECT_EQ(read.records[1].turns[1].text, "答");
  EXPECT_EQ(read.records[1].turns[0].input, "x");
  EXPECT_EQ(read.records[3].turns[0].text, "l");
  EXPECT_EQ(read.records[0].source, (Source{0, 1, 3}));
  EXPECT_EQ(read.records[1].source, (Source{0, 2, 4}));
  EXPECT_EQ(read.records[2].source, (Source{1, 1, 1}));
  EXPECT_EQ(read.records[3].source, (Source{1, 2, 4}));
  EXPECT_EQ(describe(read.records[3].source, read.files), lines + ":4 (record 2)");
}

TEST_F(RecordFiles, NamesFileLineRecordAndReason) {
  const auto good = line("i", "o");
  EXPECT_THAT(complaint(good + "{\"instruction\": \"a\", \"input\": \"\"}"), AllOf(HasSubstr("bad.json:2 (record 2)"), HasSubstr("no field 'output'")));
  EXPECT_THAT(complaint("[" + good + ",\n" + good + ",\n{\"instruction\": \"a\", \"inptu\": \"\", \"output\": \"b\"}]"),
              AllOf(HasSubstr("bad.json:5 (record 3)"), HasSubstr("no field 'input'"), HasSubstr("is 'inptu' meant to be 'input'?")));
  EXPECT_THAT(complaint(good + "\n{\"instruction\": 7, \"input\": \"\", \"output\": \"\"}"),
              AllOf(HasSubstr("bad.json:3 (record 2)"), HasSubstr("a number in field 'instruction'"), HasSubstr("expected a string")));
  for (const auto* value : {"true", "1.5", "[\"a\"]", "{\"a\": \"b\"}"})
    EXPECT_THAT(complaint("[{\"instruction\": \"a\", \"input\": " + std::string(value) + ", \"output\": \"\"}]"), HasSubstr("in field 'input'")) << value;
  EXPECT_THAT(complaint("[{\"instruction\": \"a\", \"output\": null}]"), HasSubstr("null in field 'output'"));
  EXPECT_THAT(complaint("{\"instruction\": \"a\", \"instruction\": \"b\"}"), HasSubstr("field 'instruction' twice"));
  EXPECT_THAT(complaint("[" + good + ", \"loose\"]"), AllOf(HasSubstr("bad.json:2 (record 2)"), HasSubstr("a string")));
  EXPECT_THAT(complaint("[" + good + ", [1]]"), HasSubstr("an array"));
  EXPECT_THAT(complaint(good + "[1]"), HasSubstr("an array"));
  EXPECT_THAT(complaint("plain text"), HasSubstr("broken JSON"));
}

TEST_F(RecordFiles, AnInputMayBeMissingOrNull) {
  const auto array = file("a.json", "[{\"instruction\": \"i\", \"input\": \"x\", \"output\": \"o\"}, {\"output\": \"p\", \"instruction\": \"j\"}]");
  const auto lines = file("b.jsonl", "{\"instruction\": \"k\", \"input\": null, \"output\": \"q\", \"context\": null}\r\n" + line("l", "r"));
  const auto read = read_records(std::vector{array, lines});
  ASSERT_EQ(read.records.size(), 4u);
  EXPECT_EQ(read.records[1].turns[0].input, "");
  EXPECT_EQ(read.records[1].turns[1].text, "p");
  EXPECT_EQ(read.records[2].turns[0].input, "");
  EXPECT_EQ(read.records[2].turns[0].text, "k");
  EXPECT_EQ(read.without_input, 2);
}

TEST_F(RecordFiles, NamesTheLineOfBrokenJson) {
  const auto good = line("i", "o");
  EXPECT_THAT(complaint(good + good + "{\"instruction\": \"a\", \"inp"), AllOf(HasSubstr("bad.json:3 (record 3)"), HasSubstr("broken JSON")));
  EXPECT_THAT(complaint(good + "{\"instruction\": \"a\"} {}\n" + good), HasSubstr("bad.json:2 (record 2)"));
  EXPECT_THAT(complaint("[\n" + good + ",\n{\"instruction\": oops}]"), AllOf(HasSubstr("bad.json:4 (record 2)"), HasSubstr("broken JSON")));
  EXPECT_THAT(complaint("[\n" + good), AllOf(HasSubstr("bad.json:3"), HasSubstr("broken JSON")));
  EXPECT_THAT(complaint("[\n" + good + "] x"), HasSubstr("bad.json:3"));
  EXPECT_THAT(complaint(good + "{\"instruction\": \"a\xff\", \"input\": \"\", \"output\": \"\"}"),
              AllOf(HasSubstr("bad.json:2 (record 2)"), HasSubstr("not valid UTF-8")));
  EXPECT_THAT(complaint(good + "{\"instruction\": \"\\ud800\", \"input\": \"\", \"output\": \"\"}"), HasSubstr("bad.json:2 (record 2)"));
}

TEST_F(RecordFiles, EmptyDataIsAnError) {
  for (const auto* text : {"", "  \n\n", "[]", "[ ]\n", "\xef\xbb\xbf"}) EXPECT_THAT(complaint(text), HasSubstr("no records")) << text;
  EXPECT_THROW(read((folder_ / "absent.json").string()), IoError);
  EXPECT_THROW(read(folder_.path().string()), IoError);
  EXPECT_THROW(read_records({}), DataError);
}

TEST_F(RecordFiles, DatasetKnowsItselfAgain) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += line("question " + std::to_string(i), "answer " + std::to_string(i * i));
  auto choice = options();
  choice.sets = {file("set.jsonl", text)};
  choice.held_out = 0.1;
  const ByteTokenizer tokenizer;
  const auto dataset = load_dataset(choice, tokenizer);
  EXPECT_EQ(dataset.train.size() + dataset.held_out.size(), 200);
  EXPECT_GT(dataset.held_out.size(), 0);
  EXPECT_EQ(dataset.pad_token, 257);
  EXPECT_EQ(dataset.template_fingerprint, templates().at("alpaca").fingerprint);

  choice.threads = 1;
  const auto again = load_dataset(choice, tokenizer);
  EXPECT_EQ(again.fingerprint, dataset.fingerprint);
  for (std::int64_t i = 0; i < dataset.train.size(); ++i) ASSERT_EQ(again.train[i].tokens(), dataset.train[i].tokens());
  choice.max_tokens = 300;
  EXPECT_NE(load_dataset(choice, tokenizer).fingerprint, dataset.fingerprint);
}

class RealData : public testing::TestWithParam<std::pair<const char*, std::size_t>> {};

TEST_P(RealData, LoadsWhole) {
  const auto [path, count] = GetParam();
  HERD_NEED_ASSET(path);
  auto choice = options(1 << 20);
  choice.sets = {(test::assets() / path).string()};
  const auto dataset = load_dataset(choice, ByteTokenizer());
  EXPECT_EQ(dataset.train.size(), count);
  EXPECT_EQ(dataset.train_report.truncated + dataset.train_report.skipped_unsupervised, 0);
  // The JSON library's own tree is the oracle of our streaming reader.
  const auto tree = nlohmann::json::parse(std::ifstream(choice.sets[0].name));
  for (std::size_t i = 0; i < count; ++i) {
    const auto text = ByteTokenizer().decode(dataset.train[static_cast<std::int64_t>(i)].tokens(), true);
    const std::string output = tree[i].at("output");
    ASSERT_TRUE(text.ends_with("### Response: " + output)) << i;
    ASSERT_EQ(dataset.train[static_cast<std::int64_t>(i)].supervised_tokens(), static_cast<std::int64_t>(output.size()) + 2) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Assets, RealData,
                         testing::Values(std::pair{"data/instructions/alpaca_en_demo.json", 999u}, std::pair{"data/instructions/alpaca_zh_demo.json", 1000u},
                                         std::pair{"data/instructions/short-instructions-1100.json", 1100u},
                                         std::pair{"data/instructions/identity.json", 91u}, std::pair{"data/cot-formatted/aqua_train.json", 2728u},
                                         std::pair{"data/cot-formatted/creak_train.json", 6915u},
                                         std::pair{"data/cot-formatted/strategyqa_train.json", 2061u}));

}  // namespace
}  // namespace herd
