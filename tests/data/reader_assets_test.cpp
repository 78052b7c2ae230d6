// Real files of every format, counted; and every record of theirs written and read back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "data/readers/paths.h"
#include "data/readers/write.h"
#include "tests/data/record_files.h"
#include "tests/support/assets.h"

namespace herd {
namespace {

using test::assistant;
using test::conversation;
using test::RecordFiles;
using test::turn;
using test::user;
using testing::HasSubstr;

struct Real {
  const char* pattern;
  std::size_t records, turns;  // counted with Python's json
  std::size_t systems = 0, rejected = 0;
};

void PrintTo(const Real& real, std::ostream* out) { *out << real.pattern; }

class RealFilesBase : public RecordFiles {
 protected:
  static std::vector<std::string> paths(const std::string& pattern) {
    return expand_paths(std::vector{(test::assets() / pattern).string()});
  }

  /// Written and read, the same but for where it stands.
  void expect_kept(std::vector<Record> records) const {
    for (auto& record : records) record.source = {};
    const auto path = folder_ / "written.jsonl";
    write_records(path, records);
    auto again = read(path.string()).records;
    for (auto& record : again) record.source = {};
    ASSERT_EQ(again.size(), records.size());
    for (std::size_t i = 0; i < records.size(); ++i) ASSERT_EQ(again[i], records[i]) << i;
  }
};

class RealFiles : public RealFilesBase, public testing::WithParamInterface<Real> {};
using OtherFiles = RealFilesBase;

TEST_P(RealFiles, ReadWholeAndKeepAllWhenWritten) {
  const auto& real = GetParam();
  if (!std::filesystem::exists(test::assets())) GTEST_SKIP() << "no assets";
  const auto read = read_records(paths(real.pattern));
  std::size_t turns = 0, systems = 0, rejected = 0;
  for (const auto& record : read.records) {
    turns += record.turns.size();
    systems += !record.system.empty();
    rejected += !record.rejected.empty();
  }
  EXPECT_EQ(read.records.size(), real.records);
  EXPECT_EQ(turns, real.turns);
  EXPECT_EQ(systems, real.systems);
  EXPECT_EQ(rejected, real.rejected);
  EXPECT_EQ(read.report.dropped_turns, 0);
  expect_kept(read.records);
}

INSTANTIATE_TEST_SUITE_P(
    Assets, RealFiles,
    testing::Values(Real{"data/instructions/alpaca_en_demo.json", 999, 1998}, Real{"data/instructions/alpaca_zh_demo.json", 1000, 2000},
                    Real{"data/instructions/identity.json", 91, 182}, Real{"data/instructions/short-instructions-1100.json", 1100, 2200},
                    Real{"data/instructions/dpo_en_demo.json", 300, 1126, 80, 300}, Real{"data/instructions/wiki_demo.txt", 30, 30},
                    Real{"data/chat/dummy_conversation.json", 500, 2000}, Real{"data/chat/chatglm-data-sample.jsonl", 100, 200},
                    Real{"data/chat/moss/*.json", 12, 160, 12}, Real{"data/chat/mt_bench_question.jsonl", 80, 320},
                    Real{"data/belle/eval_set.json", 1000, 2000}, Real{"data/belle/zh_seed_tasks.json", 175, 350},
                    Real{"data/belle/eval_prompt.json", 11, 22}, Real{"data/eval/gsm8k/test.json", 1319, 2638},
                    Real{"data/eval/MultiArith/test.json", 600, 1200}, Real{"data/eval/boolq/test.json", 3270, 6540},
                    Real{"data/eval/ARC-Challenge/test.json", 1172, 2344}, Real{"data/eval/alpaca-cot/mmcu/test.json", 1, 2},
                    Real{"data/eval/alpaca-cot/belle/eval_set.json", 1, 2}, Real{"data/eval/alpaca-cot/belle/eval_prompt.json", 1, 2},
                    Real{"data/cot-formatted", 11704, 23408}),
    [](const auto& info) {
      std::string name = info.param.pattern;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      return name;
    });

TEST_F(OtherFiles, BelleClassesAreCounted) {
  HERD_NEED_ASSET("data/belle/eval_set.json");
  std::map<std::string, int> classes;
  for (const auto& record : read(paths("data/belle/eval_set.json")[0]).records) ++classes[record.category];
  const std::map<std::string, int> expected{{"open qa", 285}, {"brainstorming", 179}, {"rewrite", 131},  {"generation", 98},
                                            {"math", 75},     {"classification", 65}, {"closed qa", 52}, {"summarization", 40},
                                            {"code", 38},     {"extract", 37}};
  EXPECT_EQ(classes, expected);
}

TEST_F(OtherFiles, AMossConversationIsBareText) {
  HERD_NEED_ASSET("data/chat/moss");
  const auto read = read_records(paths("data/chat/moss/*equation_solver_solver_plugin_conversation_11.json"));
  ASSERT_EQ(read.records.size(), 1u);
  const auto& record = read.records[0];
  EXPECT_EQ(record.category, "tool");
  EXPECT_TRUE(record.system.starts_with("You are an AI assistant whose name is MOSS.\n- MOSS"));
  ASSERT_EQ(record.turns.size(), 5u);
  EXPECT_EQ(record.turns[0], user("工厂采购了500个零件，其中200个价格为5元，300个价格为8元，总价是4000元，求每个零件的价格是多少元？"));
  EXPECT_EQ(record.turns[2], turn(Role::kCall, "Solve(\"x+y=500;5x+8y=4000\")"));
  EXPECT_EQ(record.turns[3], turn(Role::kTool, "Solve(\"x+y=500;5x+8y=4000\") =>\nx = 0\ny = 500"));
  for (const auto& turn : record.turns) EXPECT_EQ(turn.text.find("<|"), std::string::npos) << turn.text;
}

TEST_F(OtherFiles, WhatHoldsNoRecordsIsRefused) {
  HERD_NEED_ASSET("data/chat/judge_prompts.jsonl");
  const auto refused = [&](const char* path) { return test::message_of<DataError>([&] { read((test::assets() / path).string()); }); };
  EXPECT_THAT(refused("data/chat/judge_prompts.jsonl"), HasSubstr("a record of no known format"));
  EXPECT_THAT(refused("data/eval/ceval_subject_mapping.json"), HasSubstr("a record of no known format"));
  for (const auto* name : {"aqua", "creak", "gsm8k", "strategyqa"})
    EXPECT_THAT(refused(("data/cot-tsv/" + std::string(name) + "_train.tsv").c_str()), HasSubstr("herd data format")) << name;
}

TEST_F(OtherFiles, EverythingARecordHoldsIsKept) {
  Record all = conversation(
      {user("q \"\\\n", "x"), turn(Role::kThought, "t"), turn(Role::kCall, "[1]"), turn(Role::kTool, "r"), assistant("答")}, "s");
  all.turns[0].supervised = true;
  all.turns[4].supervised = false;
  all.rejected = "no";
  all.category = "c";
  all.language = "CN";
  all.weight = 0.1;
  auto dialogue = instruction_record("Human: a\nAssistant:", "", "b");
  auto text = conversation({turn(Role::kText, "one\ntwo")});
  text.weight = 3;
  expect_kept({all, dialogue, text, instruction_record("", "", "")});
  expect_kept({dialogue});
  expect_kept({text});
  auto plain = instruction_record("i", "x", "o");
  plain.system = "s", plain.category = "c", plain.language = "EN", plain.weight = 1e-7;
  expect_kept({plain, instruction_record("Human: a", "", "")});
}

TEST(Write, PlainRecordsAreAlpacas) {
  std::ostringstream out;
  auto record = instruction_record("i", "", "o");
  record.category = "math";
  write_records(out, std::vector{record, instruction_record("j", "x", "p")});
  EXPECT_EQ(out.str(),
            "{\"instruction\":\"i\",\"input\":\"\",\"output\":\"o\",\"category\":\"math\"}\n{\"instruction\":\"j\",\"input\":\"x\","
            "\"output\":\"p\"}\n");
}

}  // namespace
}  // namespace herd
