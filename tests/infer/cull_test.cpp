// Records that are thinned: what goes, why, and what stays in its place.
#include "infer/instruct/cull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/readers/reader.h"
#include "runtime/base/error.h"
#include "runtime/base/random.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

class Cull : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::vector<std::array<std::string, 3>>& records) {
    std::ofstream file(scratch_ / name);
    for (const auto& [instruction, input, output] : records)
      file << Json{{"instruction", instruction}, {"input", input}, {"output", output}}.dump() << "\n";
    return (scratch_ / name).string();
  }

  CullReport run(CullRequest request) {
    request.output = scratch_ / "out.jsonl";
    request.dropped = scratch_ / "dropped.jsonl";
    return cull(request);
  }

  std::vector<Json> lines(const std::string& name) {
    std::ifstream file(scratch_ / name);
    std::vector<Json> out;
    for (std::string line; std::getline(file, line);) out.push_back(Json::parse(line));
    return out;
  }

  std::vector<std::string> outputs() {
    std::vector<std::string> out;
    for (const auto& line : lines("out.jsonl"))
      out.push_back(line.contains("output") ? line["output"] : line["messages"].back()["content"]);
    return out;
  }

  test::Scratch scratch_;
};

TEST_F(Cull, DropsForAReasonAndKeepsTheOrder) {
  const auto file = write("a.jsonl", {{"List the three primary colours of paint", "", "red"},
                                      {"Write a poem about the sea", "", "As an AI language model, I have no feelings."},
                                      {"List the three primary colours of light", "", "green and more"},
                                      {"Name a river in France", "", " "},
                                      {"写一首关于秋天的诗", "", "作为一个人工智能，我不能写诗。"},
                                      {"Why?", "", "because"},
                                      {"Translate into German", "one house", "ein Haus"},
                                      {"Translate into German", "a long and winding road", "eine lange Strasse"}});
  const auto report = run({.files = {file}, .bounds = {.shortest_instruction = 2}});
  EXPECT_THAT(outputs(), ElementsAre("red", "ein Haus", "eine lange Strasse"));
  EXPECT_EQ(told(report.dropped), "1 malformed, 2 refused by the model, 1 too short, 1 near duplicate");
  EXPECT_EQ(report.read, 8);
  EXPECT_EQ(report.kept, 3);
  const auto dropped = lines("dropped.jsonl");
  ASSERT_EQ(dropped.size(), 5);
  EXPECT_EQ(dropped[1]["dropped"]["reason"], "near duplicate");
  EXPECT_EQ(dropped[1]["dropped"]["like"], file + ":1 (record 1)");
  EXPECT_EQ(dropped[1]["dropped"]["from"], file + ":3 (record 3)");
  EXPECT_EQ(read_records(std::vector<std::string>{(scratch_ / "dropped.jsonl").string()}).records.size(), 5);
  ASSERT_EQ(report.pairs.size(), 1);
  EXPECT_DOUBLE_EQ(report.pairs[0].score, 12.0 / 14);
}

TEST_F(Cull, KeepsTheLongestAnswerInItsPlace) {
  const auto file = write("a.jsonl", {{"Name two big animals", "", "cat"},
                                      {"Say what rain is", "", "water"},
                                      {"Name two big animals please", "", "an elephant and a whale"},
                                      {"Name two very big animals", "", "a dog"}});
  run({.files = {file}, .keep = CullRequest::Keep::kLongest});
  EXPECT_THAT(outputs(), ElementsAre("water", "an elephant and a whale"));
  run({.files = {file}});
  EXPECT_THAT(outputs(), ElementsAre("cat", "water"));
}

TEST_F(Cull, ByEachMeasure) {
  std::vector<std::array<std::string, 3>> records;
  for (int i = 0; i < 40; ++i) records.push_back({"Something about k" + std::to_string(i) + " and q" + std::to_string(i * 77), "", "a"});
  records.push_back({"Explain why the evening sky over mountains turns purple", "", "b"});
  records.push_back({"Explain why the evening sky over mountains turns purple!", "", "c"});
  const auto file = write("a.jsonl", records);
  for (const auto bound :
       {NearBound{NearBound::By::kBm25, 15}, NearBound{NearBound::By::kRouge, 0.9}, NearBound{NearBound::By::kSketch, 0.9}}) {
    const auto report = run({.files = {file}, .near = bound});
    EXPECT_EQ(told(report.dropped), "1 near duplicate") << bound.text();
  }
  EXPECT_EQ(run({.files = {file}, .near = {NearBound::By::kOff, 0}}).kept, 42);
}

TEST_F(Cull, ConversationsAndBrokenRecords) {
  std::ofstream(scratch_ / "c.jsonl")
      << R"({"messages": [{"role": "user", "content": "How do I bake bread?"}, {"role": "assistant", "content": "With flour."}, {"role": "user", "content": "?"}, {"role": "assistant", "content": "Yes."}]})"
      << "\n{broken\n"
      << R"({"messages": [{"role": "user", "content": "How do I bake good bread?"}, {"role": "assistant", "content": "Slowly."}]})"
      << "\n";
  const auto report = run({.files = {(scratch_ / "c.jsonl").string()}});
  EXPECT_EQ(told(report.dropped), "1 malformed, 1 near duplicate");
  EXPECT_EQ(report.read, 3);
  EXPECT_THAT(outputs(), ElementsAre("Yes."));
  EXPECT_EQ(lines("out.jsonl").at(0)["messages"].size(), 4);
}

TEST_F(Cull, RefusesBeforeItWrites) {
  const auto file = write("a.jsonl", {{"Name two animals", "", "cat"}});
  EXPECT_THAT(test::message_of<DataError>([&] { cull({.files = {file}, .output = file}); }), HasSubstr("the output is an input"));
  EXPECT_THAT(test::message_of<ConfigError>([&] { cull({.files = {file}, .output = scratch_ / "o", .dropped = scratch_ / "." / "o"}); }),
              HasSubstr("--dropped"));
  EXPECT_THAT(test::message_of<ConfigError>([&] {
                cull({.files = {file}, .output = scratch_ / "o", .near = {NearBound::By::kSketch, 0.2}});
              }),
              HasSubstr("--near"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "o"));
}

}  // namespace
}  // namespace herd
