// What export and deduplication write, read back.
#include "data/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "data/dedupe.h"
#include "data/readers/reader.h"
#include "runtime/base/error.h"
#include "runtime/base/file.h"
#include "tests/data/toy_records.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using test::line;
using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class Written : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::vector<std::string> questions(const std::string& name) const {
    std::vector<std::string> out;
    for (const auto& record : read_records(std::vector{(folder_ / name).string()}).records) out.push_back(record.turns[0].text);
    return out;
  }
  test::Scratch folder_;
};

/// As herd writes it: in the order in which people read it.
std::string written(const std::string& instruction, const std::string& output) {
  return R"({"instruction":")" + instruction + R"(","input":"","output":")" + output + "\"}\n";
}

using Export = Written;
using Dedupe = Written;

TEST_F(Export, SidesTogetherAreTheWhole) {
  std::string text, out;
  for (int i = 0; i < 50; ++i) {
    text += line("q" + std::to_string(i), "a");
    out += written("q" + std::to_string(i), "a");
  }
  auto options = test::options();
  options.sets = {file("set.jsonl", text)};
  options.held_out = 7;
  EXPECT_EQ(export_records(options, folder_ / "train.jsonl", Side::kTrain).written, 43);
  EXPECT_EQ(export_records(options, folder_ / "held_out.jsonl", Side::kHeldOut).written, 7);
  EXPECT_EQ(export_records(options, folder_ / "both.jsonl", Side::kBoth).written, 50);
  EXPECT_EQ(read_file(folder_ / "both.jsonl"), out);
  auto parts = questions("train.jsonl");
  const auto held_out = questions("held_out.jsonl");
  parts.insert(parts.end(), held_out.begin(), held_out.end());
  EXPECT_THAT(parts, testing::UnorderedElementsAreArray(questions("both.jsonl")));
}

TEST_F(Export, OneConversationDecidesTheFormOfAll) {
  auto options = test::options();
  options.sets = {
      file("plain.jsonl", line("ab", "cd", "in")),
      file(
          "turns.jsonl",
          R"({"conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"}, {"from": "human", "value": "3"}, {"from": "gpt", "value": "4"}]})")};
  options.sets[1].weight = 2.5;
  const auto report = export_records(options, folder_ / "out.jsonl", Side::kBoth);
  EXPECT_EQ(report.as, WrittenAs::kMessages);
  const auto records = read_records(std::vector{(folder_ / "out.jsonl").string()}).records;
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].turns, instruction_record("ab", "in", "cd").turns);
  EXPECT_EQ(records[0].weight, 1);
  EXPECT_THAT(records[1].turns, SizeIs(4));
  EXPECT_EQ(records[1].weight, 2.5);
}

TEST_F(Export, LeavesAnOldFileWhereItFails) {
  auto options = test::options();
  options.sets = {file("set.jsonl", line("ab", "cd"))};
  EXPECT_THAT(message_of<DataError>([&] { export_records(options, folder_ / "set.jsonl", Side::kBoth); }),
              HasSubstr("the output is an input"));
  EXPECT_THAT(message_of<DataError>([&] { export_records(options, folder_ / "new.jsonl", Side::kHeldOut); }),
              HasSubstr("data.held_out is 0"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "new.jsonl"));
  EXPECT_EQ(read_file(folder_ / "set.jsonl"), line("ab", "cd"));
}

const std::string kSaid = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun until the evening comes";

TEST_F(Dedupe, TellsWhatWentAndForWhat) {
  const auto a = file("a.jsonl", line("one", "1") + line("Say it.", kSaid)),
             b = file("b.jsonl", line("two", "2") + line("one", "1") + line("Say it.", kSaid + "!"));
  DedupeRequest request{.files = {a, b}, .output = folder_ / "out.jsonl"};
  auto report = dedupe(request);
  EXPECT_EQ(report.read, 5);
  EXPECT_EQ(report.exact, 1);
  EXPECT_EQ(report.near, 0);
  ASSERT_THAT(report.pairs, SizeIs(1));
  EXPECT_EQ(describe(report.pairs[0].gone, report.files), b + ":2 (record 2)");
  EXPECT_EQ(describe(report.pairs[0].stayed, report.files), a + ":1 (record 1)");
  EXPECT_EQ(report.pairs[0].stayed_text, "one │ 1");
  EXPECT_EQ(read_file(folder_ / "out.jsonl"),
            written("one", "1") + written("Say it.", kSaid) + written("two", "2") + written("Say it.", kSaid + "!"));

  request.near = 0.8;
  report = dedupe(request);
  EXPECT_EQ(report.exact, 1);
  EXPECT_EQ(report.near, 1);
  EXPECT_EQ(report.written, 3);
  ASSERT_THAT(report.pairs, SizeIs(2));
  EXPECT_FALSE(report.pairs[0].exact);
  EXPECT_EQ(describe(report.pairs[0].gone, report.files), b + ":3 (record 3)");
  EXPECT_EQ(describe(report.pairs[0].stayed, report.files), a + ":2 (record 2)");
  EXPECT_THAT(questions("out.jsonl"), ElementsAre("one", "Say it.", "two"));
}

TEST_F(Dedupe, ACopyOfANearOneIsLikeTheOneThatStayed) {
  const auto a = file("a.jsonl", line("Say it.", kSaid) + line("Say it.", kSaid + "!") + line("Say it.", kSaid + "!"));
  const auto report = dedupe({.files = {a}, .output = folder_ / "out.jsonl", .near = 0.8});
  EXPECT_EQ(report.near, 1);
  EXPECT_EQ(report.exact, 1);
  EXPECT_EQ(report.pairs.at(1).gone.record, 3u);
  EXPECT_EQ(report.pairs.at(1).stayed.record, 1u);
}

TEST_F(Dedupe, RefusesItsOwnInputAndOddLikenesses) {
  const auto a = file("a.jsonl", line("one", "1"));
  EXPECT_THAT(message_of<DataError>([&] { dedupe({.files = {a}, .output = a}); }), HasSubstr("the output is an input"));
  EXPECT_THAT(message_of<ConfigError>([&] { dedupe({.files = {a}, .output = folder_ / "o", .near = 0.2}); }), HasSubstr("--near"));
}

}  // namespace
}  // namespace herd
