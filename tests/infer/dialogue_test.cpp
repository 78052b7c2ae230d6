// A conversation of a person and a model: rounds, what of them fits, and as JSON.
#include "infer/dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/base/error.h"
#include "tests/support/errors.h"

namespace herd::test {
namespace {
using testing::HasSubstr;

Dialogue dialogue(std::size_t rounds, bool open = false) {
  Dialogue out;
  out.system = "S";
  for (std::size_t i = 1; i <= rounds; ++i) {
    out.ask("q" + std::to_string(i));
    if (i < rounds || !open) out.answer("a" + std::to_string(i));
  }
  return out;
}

std::string text(const Dialogue& dialogue, std::size_t from = 0) {
  const auto record = dialogue.record(from);
  std::string out = record.system;
  for (const auto& turn : record.turns) out += " " + turn.text;
  return out;
}

TEST(Dialogue, GoesForthAndBackByRounds) {
  auto d = dialogue(2);
  EXPECT_EQ(text(d), "S q1 a1 q2 a2");
  EXPECT_FALSE(d.open());
  EXPECT_TRUE(d.reopen());
  EXPECT_EQ(text(d), "S q1 a1 q2");
  EXPECT_TRUE(d.open());
  EXPECT_TRUE(d.reopen());
  EXPECT_EQ(text(d), "S q1 a1 q2");
  EXPECT_EQ(d.undo(), "q2");
  EXPECT_EQ(d.undo(), "q1");
  EXPECT_EQ(text(d), "S");
  EXPECT_EQ(d.undo(), std::nullopt);
  EXPECT_FALSE(d.reopen());
  d = dialogue(3);
  d.reset();
  EXPECT_EQ(text(d), "S");
}

TEST(Dialogue, LeavesTheOldestRoundsOutUntilItFits) {
  const auto d = dialogue(4, true);
  std::size_t asked = 0;
  const auto tokens = [&](const Record& record) {
    ++asked;
    EXPECT_EQ(record.system, "S");
    return static_cast<std::int64_t>(10 * record.turns.size());  // 70, 50, 30, 10
  };
  for (const auto& [most, first] : {std::pair{70, 0u}, {69, 1u}, {50, 1u}, {49, 2u}, {30, 2u}, {29, 3u}, {1, 3u}})
    EXPECT_EQ(d.first_that_fits(tokens, most, 0), first) << most;
  EXPECT_EQ(text(d, 2), "S q3 a3 q4");
  asked = 0;
  EXPECT_EQ(d.first_that_fits(tokens, 70, 2), 2u);
  EXPECT_EQ(asked, 1u);
}

TEST(Dialogue, IsOpenAisMessages) {
  auto d = dialogue(2, true);
  const auto json = nlohmann::json::parse(d.json());
  EXPECT_EQ(json, nlohmann::json::parse(R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "q1"},
                                            {"role": "assistant", "content": "a1"}, {"role": "user", "content": "q2"}]})"));
  EXPECT_EQ(text(Dialogue::parse(d.json(), "f")), text(d));
  EXPECT_TRUE(Dialogue::parse(d.json(), "f").open());
}

TEST(Dialogue, WhatIsNoConversationIsRefused) {
  const auto refused = [](const std::string& json) { return message_of<DataError>([&] { Dialogue::parse(json, "talk.json"); }); };
  EXPECT_THAT(refused("{"), HasSubstr("talk.json"));
  EXPECT_THAT(refused("\xff"), HasSubstr("UTF-8"));
  EXPECT_THAT(refused("[]"), HasSubstr("messages"));
  EXPECT_THAT(refused(R"({"messages": [{"role": "assistant", "content": "a"}]})"), HasSubstr("user begins"));
  EXPECT_THAT(refused(R"({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]})"), HasSubstr("in a row"));
  EXPECT_THAT(refused(R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "tool_calls": []}]})"),
              HasSubstr("'thought'"));
}

}  // namespace
}  // namespace herd::test
