// What the readers of conversations make of their formats, and which ones they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/record_files.h"

namespace herd {
namespace {

using test::assistant;
using test::conversation;
using test::RecordFiles;
using test::turn;
using test::user;
using testing::AllOf;
using testing::HasSubstr;

using Conversations = RecordFiles;

std::string sharegpt(std::initializer_list<std::pair<const char*, const char*>> turns) {
  std::string list;
  for (const auto& [from, value] : turns)
    list += std::string(list.empty() ? "" : ", ") + R"({"from": ")" + from + R"(", "value": ")" + value + "\"}";
  return R"({"conversations": [)" + list + "]}";
}

std::string openai(const std::string& messages) { return R"({"messages": [)" + messages + "]}"; }

TEST_F(Conversations, ShareGpt) {
  EXPECT_EQ(record(sharegpt({{"human", "a"}, {"gpt", "b"}, {"user", "c"}, {"bard", ""}})),
            conversation({user("a"), assistant("b"), user("c"), assistant("")}));
  EXPECT_EQ(record(sharegpt({{"human", "a"}, {"assistant", "b"}})), conversation({user("a"), assistant("b")})) << "BELLE's form";
  EXPECT_EQ(record(sharegpt({{"system", "s"}, {"human", "a"}, {"function_call", "f"}, {"observation", "r"}, {"chatgpt", "b"}})),
            conversation({user("a"), turn(Role::kCall, "f"), turn(Role::kTool, "r"), assistant("b")}, "s"));
}

TEST_F(Conversations, AFirstTurnThatIsNoHumansIsDroppedAsFastChatDoes) {
  const auto path =
      file("a.json", sharegpt({{"gpt", "z"}, {"human", "a"}, {"gpt", "b"}}) + "\n" + sharegpt({{"human", "c"}, {"gpt", "d"}}));
  const auto read = read_records(std::vector{path});
  ASSERT_EQ(read.records.size(), 2u);
  EXPECT_EQ(read.records[0].turns, (std::vector{user("a"), assistant("b")}));
  EXPECT_EQ(read.report.dropped_turns, 1);
  EXPECT_THAT(complaint(sharegpt({{"gpt", "a"}, {"gpt", "b"}, {"human", "c"}})), HasSubstr("a conversation that the assistant begins"));
}

TEST_F(Conversations, OpenAi) {
  EXPECT_EQ(
      record(openai(
          R"({"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                             {"role": "assistant", "content": "c"})")),
      conversation({user("ab"), assistant("c")}, "s"));
  EXPECT_EQ(record(openai(R"({"role": "user", "content": "a"},
      {"role": "assistant", "content": "let me see", "tool_calls": [{"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "r"}, {"role": "tool", "content": "r2"}, {"role": "assistant", "reasoning_content": "hm", "content": "b"})")),
            conversation({user("a"), turn(Role::kThought, "let me see"),
                          turn(Role::kCall, R"([{"type":"function","id":"1","function":{"name":"f","arguments":"{}"}}])"),
                          turn(Role::kTool, "r"), turn(Role::kTool, "r2"), turn(Role::kThought, "hm"), assistant("b")}));
  EXPECT_EQ(record(openai(R"({"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": [1]})")),
            conversation({user("a"), turn(Role::kCall, "[1]")}));
}

TEST_F(Conversations, AMessageMaySayThatItIsNotToBeLearnt) {
  auto expected = conversation({user("a"), assistant("b"), user("c"), assistant("d"), user("e"), assistant("f")});
  expected.turns[1].supervised = false;
  expected.turns[3].supervised = false;
  expected.turns[5].supervised = true;
  EXPECT_EQ(record(openai(
                R"({"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}, {"role": "user", "content": "c"},
      {"role": "assistant", "content": "d", "train": false}, {"role": "user", "content": "e"}, {"role": "assistant", "content": "f", "weight": 1})")),
            expected);
  EXPECT_THAT(complaint(openai(R"({"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5})")),
              HasSubstr("0 or 1"));
}

TEST_F(Conversations, WhoSpeaksOutOfTurnIsNamed) {
  EXPECT_THAT(complaint(sharegpt({{"human", "a"}, {"human", "b"}, {"gpt", "c"}})),
              AllOf(HasSubstr("(record 1)"), HasSubstr("two turns of the user in a row (turns 1 and 2)")));
  EXPECT_THAT(complaint(sharegpt({{"human", "a"}, {"gpt", "b"}, {"gpt", "c"}})),
              HasSubstr("two turns of the assistant in a row (turns 2 and 3)"));
  EXPECT_THAT(complaint(openai(R"({"role": "assistant", "content": "a"}, {"role": "user", "content": "b"})")),
              HasSubstr("a conversation that the assistant begins"));
  EXPECT_THAT(complaint(sharegpt({{"human", "a"}, {"observation", "b"}})), HasSubstr("a turn of a tool after one of the user (turn 2)"));
  EXPECT_THAT(complaint(sharegpt({{"human", "a"}, {"gtp", "b"}})),
              AllOf(HasSubstr("the role 'gtp' in turn 2"), HasSubstr("did you mean 'gpt'?")));
  EXPECT_THAT(complaint(sharegpt({{"human", "a"}, {"system", "b"}})), HasSubstr("a system message as turn 2"));
  EXPECT_THAT(complaint(R"({"conversations": []})"), HasSubstr("no turn"));
}

TEST_F(Conversations, WhatATurnLacksIsNamed) {
  EXPECT_THAT(complaint(R"({"conversations": [{"from": "human", "valeu": "a"}]})"),
              AllOf(HasSubstr("no field 'value' in turn 1"), HasSubstr("is 'valeu' meant")));
  EXPECT_THAT(complaint(R"({"conversations": [{"from": "human", "value": ["a"]}]})"), HasSubstr("a part in turn 1"));
  EXPECT_THAT(complaint(R"({"conversations": {"from": "human", "value": "a"}})"), HasSubstr("an object in field 'conversations'"));
  EXPECT_THAT(complaint(R"({"conversations": ["a"]})"), HasSubstr("a string in turn 1"));
  EXPECT_THAT(complaint(openai(R"({"role": "user", "content": [{"type": "image_url"}]})")),
              HasSubstr("a part of type 'image_url' in turn 1"));
  EXPECT_THAT(complaint(openai(R"({"role": "user", "content": null})")), HasSubstr("null in field 'content' in turn 1"));
  EXPECT_THAT(complaint(openai(R"({"role": "user", "content": "a", "content": "b"})")), HasSubstr("field 'content' twice"));
  EXPECT_THAT(complaint(openai(R"({"role": "user", "content": "a", "tool_calls": []})")),
              HasSubstr("'tool_calls' of somebody else in turn 1"));
}

TEST_F(Conversations, Moss) {
  const std::string plain = R"({"conversation_id": 1, "meta_instruction": "You are MOSS.\n", "num_turns": "2", "category": "Code", "chat": {
    "turn_1": {"Human": "<|Human|>: a<eoh>\n", "Inner Thoughts": "<|Inner Thoughts|>: None<eot>\n", "Commands": "<|Commands|>: None<eoc>\n",
               "Tool Responses": "<|Results|>: None<eor>\n", "MOSS": "<|MOSS|>: b\n c<eom>\n"},
    "turn_2": {"Human": "<|Human|>: d<eoh>\n", "Inner Thoughts": "<|Inner Thoughts|>: t<eot>\n", "Commands": "<|Commands|>: Search(\"x\")<eoc>\n",
               "Tool Responses": "<|Results|>:\nSearch(\"x\") =>\n1\n<eor>\n", "MOSS": "<|MOSS|>: e<eom>\n"}}})";
  auto expected = conversation({user("a"), assistant("b\n c"), user("d"), turn(Role::kThought, "t"), turn(Role::kCall, "Search(\"x\")"),
                                turn(Role::kTool, "Search(\"x\") =>\n1"), assistant("e")},
                               "You are MOSS.\n");
  expected.category = "Code";
  EXPECT_EQ(record(plain), expected);

  EXPECT_THAT(complaint(R"({"num_turns": 2, "chat": {"turn_1": {"Human": "a", "MOSS": "b"}}})"), HasSubstr("1 of 2 turns"));
  EXPECT_THAT(complaint(R"({"chat": {"turn_1": {"Human": "a", "MOSS": "b"}, "turn_3": {"Human": "a", "MOSS": "b"}}})"),
              HasSubstr("turn_1 to turn_1"));
  EXPECT_THAT(complaint(R"({"chat": {"turn_1": {"Human": "a"}}})"), HasSubstr("no field 'MOSS' in turn_1"));
}

TEST_F(Conversations, MossAsOneText) {
  EXPECT_EQ(
      record(
          R"({"prefix": "MOSS is an AI.", "num_turns": 2, "plain_text": "[Human]: a<eoh> [MOSS]: b\n<eoa> [Human]: c<eoh> [MOSS]: d<eoa>"})"),
      conversation({user("a"), assistant("b"), user("c"), assistant("d")}, "MOSS is an AI."));
  EXPECT_THAT(complaint(R"({"plain_text": "[Human]: a<eoh> [Human]: b<eoh>"})"), HasSubstr("as turn 2 of field 'plain_text'"));
}

TEST_F(Conversations, Preferences) {
  auto pair = conversation({user("q"), assistant("good")});
  pair.rejected = "bad";
  EXPECT_EQ(record(R"({"prompt": "q", "chosen": "good", "rejected": "bad"})"), pair);
  EXPECT_EQ(
      record(
          R"({"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}})"),
      pair);
  EXPECT_EQ(record(R"({"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
                       "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}], "messages": []})"),
            pair);
  EXPECT_EQ(record(R"({"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"})"), pair);
  pair.turns[0].input = "x";
  EXPECT_EQ(record(R"({"instruction": "q", "input": "x", "chosen": "good", "rejected": "bad"})"), pair);

  EXPECT_THAT(complaint(R"({"chosen": "good", "rejected": "bad"})"), HasSubstr("an answer to nothing in field 'chosen'"));
  EXPECT_THAT(complaint(R"({"chosen": "Human: q\nAssistant: a", "rejected": "Human: other\nAssistant: a"})"),
              HasSubstr("differ before their last answer"));
  EXPECT_THAT(complaint(R"({"prompt": "q", "chosen": "good", "rejected": 3})"), HasSubstr("'rejected'"));
  EXPECT_THAT(
      complaint(
          R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "chosen": {"from": "gpt", "value": "g"}, "rejected": "b"})"),
      HasSubstr("two turns of the assistant in a row"));
}

}  // namespace
}  // namespace herd
