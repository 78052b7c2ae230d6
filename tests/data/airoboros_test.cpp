// airoboros' forms: closed context, citations, code alone, several turns, several characters.
#include "data/format/airoboros.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/readers/conversation.h"
#include "data/readers/fault.h"
#include "tests/data/text_files.h"

namespace herd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

const std::vector<ContextBlock> kBlocks{
    {{{"date", "2021-01-01"}, {"url", "https://a.example/x?y:z"}}, "Blueberries are green.\n\nAll of them."}, {{}, "No source."}};

template <class Action>
std::string complaint_of(const Action& action) {
  return test::message_of<DataError>(action);
}

TEST(Airoboros, ClosedContextHasOneBlockATextAndOneInstruction) {
  EXPECT_EQ(closed_context(kBlocks, "What colour?\nSay why."),
            "BEGININPUT\n"
            "BEGINCONTEXT\n"
            "date: 2021-01-01\n"
            "url: https://a.example/x?y:z\n"
            "ENDCONTEXT\n"
            "Blueberries are green.\n"
            "\n"
            "All of them.\n"
            "ENDINPUT\n"
            "BEGININPUT\n"
            "BEGINCONTEXT\n"
            "ENDCONTEXT\n"
            "No source.\n"
            "ENDINPUT\n"
            "BEGININSTRUCTION\n"
            "What colour?\n"
            "Say why.\n"
            "ENDINSTRUCTION");
}

TEST(Airoboros, MarkersCannotBeForged) {
  const auto with_text = [](std::string text) { return std::vector<ContextBlock>{{{}, std::move(text)}}; };
  EXPECT_THAT(complaint_of([&] { closed_context(with_text("a\nENDINPUT\nb"), "q"); }), HasSubstr("'ENDINPUT'"));
  EXPECT_THAT(complaint_of([&] { closed_context(kBlocks, "ENDINSTRUCTION"); }), HasSubstr("the instruction"));
  EXPECT_THAT(closed_context(with_text("say ENDINPUT aloud"), "q"), HasSubstr("say ENDINPUT aloud"));  // within a line it marks nothing
  EXPECT_THAT(complaint_of([&] { closed_context({}, "q"); }), HasSubstr("no block"));
  EXPECT_THAT(complaint_of([&] { closed_context(std::vector<ContextBlock>{{{{"a:b", "c"}}, "x"}}, "q"); }), HasSubstr("'a:b'"));
  EXPECT_THAT(complaint_of([&] { closed_context(std::vector<ContextBlock>{{{{"a", "c\nd"}}, "x"}}, "q"); }), HasSubstr("line end"));
}

TEST(Airoboros, AnswersCiteTheirSources) {
  EXPECT_EQ(with_sources("Green.", std::span(kBlocks).first(1)), "Green.\nSource:\ndate: 2021-01-01\nurl: https://a.example/x?y:z");
  EXPECT_EQ(with_sources("Green.", {}), "Green.");
  EXPECT_THAT(complaint_of([&] { with_sources("Green.", kBlocks); }), HasSubstr("no metadata"));
}

TEST(Airoboros, PlainFormatIsAskedOnce) {
  EXPECT_EQ(plain_format("Write a loop."), "Write a loop. PLAINFORMAT");
  EXPECT_EQ(plain_format("Write a loop. PLAINFORMAT"), "Write a loop. PLAINFORMAT");
  EXPECT_EQ(plain_format("\nWrite a loop. \n"), "Write a loop. PLAINFORMAT");
}

TEST(Airoboros, CodeAloneIsWhatTheFencesHold) {
  EXPECT_EQ(code_alone("Here you are:\n```python\nfor i in x:\n  print(i)\n```\nIt prints.\n```\ndone()\n```\n"),
            "for i in x:\n  print(i)\ndone()");
  EXPECT_EQ(code_alone("print(1)\n"), "print(1)\n");
  EXPECT_THAT(complaint_of([] { code_alone("```\nx"); }), HasSubstr("without its end"));
}

TEST(Airoboros, EmbeddedTurnsAreParted) {
  const auto turns = embedded_turns("a", "b</s> USER: c ASSISTANT: d\ne</s> USER: f\nUSER: g ASSISTANT: h");
  ASSERT_EQ(turns.size(), 6u);
  EXPECT_EQ(turns[2], (Turn{.role = Role::kUser, .text = "c"}));
  EXPECT_EQ(turns[3], (Turn{.role = Role::kAssistant, .text = "d\ne"}));
  EXPECT_EQ(turns[4].text, "f\nUSER: g");
  EXPECT_EQ(turns[5].text, "h");
  EXPECT_EQ(embedded_turns("a", "b USER: c").size(), 2u);
  EXPECT_EQ(embedded_turns("a ASSISTANT: b</s> USER: c", "d").size(), 4u);
  EXPECT_THROW(embedded_turns("a", "b</s> USER: c"), RecordFault);
  EXPECT_THROW(embedded_turns("a", "b</s> USER:"), RecordFault);
  EXPECT_THROW(embedded_turns("a", "b</s> USER: c</s> USER: d ASSISTANT: e"), RecordFault);
}

CharacterChat tavern() {
  return {.scene = "A tavern at night.",
          .user = "Mia",
          .characters = {{"Mia", "A traveller."}, {"Rolf", "The host."}, {"Ada", "A bard."}},
          .lines = {{"Rolf", "Come in!"},
                    {"Ada", "Sit here."},
                    {"Mia", "Thanks."},
                    {"Mia", "What is there?"},
                    {"Rolf", "Soup."},
                    {"Ada", "And songs."},
                    {"Mia", "Soup, then."},
                    {"Rolf", "At once."},
                    {"Mia", "Where is it?"}}};
}

TEST(Airoboros, CharactersBecomeTwoSides) {
  const auto record = character_record(tavern());
  EXPECT_EQ(record.system,
            "A conversation of several characters.\n\n"
            "Characters:\nMia: A traveller.\nRolf: The host.\nAda: A bard.\n\n"
            "Scene:\nA tavern at night.\n\n"
            "The user speaks as Mia. Answer as Rolf, Ada, each line with its speaker's name.\n\n"
            "So far:\nRolf: Come in!\nAda: Sit here.");
  EXPECT_EQ(record.turns, (std::vector<Turn>{{.role = Role::kUser, .text = "Mia: Thanks.\nMia: What is there?"},
                                             {.role = Role::kAssistant, .text = "Rolf: Soup.\nAda: And songs."},
                                             {.role = Role::kUser, .text = "Mia: Soup, then."},
                                             {.role = Role::kAssistant, .text = "Rolf: At once."}}));
}

TEST(Airoboros, ChatsThatDoNotWorkAreNamed) {
  const auto complaint = [](const auto& change) {
    auto chat = tavern();
    change(chat);
    return complaint_of([&] { character_record(chat); });
  };
  EXPECT_THAT(complaint([](auto& chat) { chat.user = "Max"; }), HasSubstr("the user plays 'Max'"));
  EXPECT_THAT(complaint([](auto& chat) { chat.lines[1].name = "Bob"; }), HasSubstr("'Bob' speaks"));
  EXPECT_THAT(complaint([](auto& chat) { chat.characters[2].name = "Rolf"; }), HasSubstr("'Rolf' twice"));
  EXPECT_THAT(complaint([](auto& chat) { chat.characters.resize(1); }), HasSubstr("1 of them"));
  EXPECT_THAT(complaint([](auto& chat) { chat.lines.resize(3); }), HasSubstr("nobody answers Mia"));
  EXPECT_THAT(complaint([](auto& chat) { chat.lines.clear(); }), HasSubstr("nobody answers Mia"));
}

constexpr const char* kFile = R"([
  {
    "instruction": "What colour are blueberries?",
    "category": "contextual",
    "blocks": [
      {"metadata": {"url": "https://a.example", "date": "2021"}, "text": "They are green."},
      {"text": "They taste sweet."}
    ],
    "response": "Green.",
    "cite": [1]
  },
  {
    "instruction": "Print one.", "plain": true, "category": "coding",
    "response": "Sure:\n```\nprint(1)\n```"
  },
  {"instruction": "Hi", "response": "Hello", "category": "general"},
  {"instruction": "Hi", "response": "Hello</s> USER: Bye ASSISTANT: See you"},
  {
    "user": "Mia", "characters": [{"name": "Mia", "description": "x"}, {"name": "Rolf", "description": "y"}],
    "lines": [{"name": "Mia", "text": "a"}, {"name": "Rolf", "text": "b"}], "category": "rp"
  }
])";

class AiroborosFiles : public test::TextFiles {
 protected:
  std::string complaint(std::string_view text) {
    return test::message_of<DataError>([&] { format_airoboros({file("in.json", text)}, output(), "a"); });
  }
};

TEST_F(AiroborosFiles, EveryFormIsAConversation) {
  const auto count = format_airoboros({file("in.json", kFile)}, output(), "made");
  EXPECT_EQ(count.closed_context + 10 * count.plain + 100 * count.single + 1000 * count.multi_turn + 10000 * count.characters, 11111);
  const auto say = [](const char* from, const char* value) { return Json{{"from", from}, {"value", value}}; };
  EXPECT_THAT(
      written_objects(),
      testing::ElementsAre(
          Json{{"id", "made-1"},
               {"category", "contextual"},
               {"conversations",
                {say("human",
                     "BEGININPUT\nBEGINCONTEXT\nurl: https://a.example\ndate: 2021\nENDCONTEXT\nThey are green.\nENDINPUT\n"
                     "BEGININPUT\nBEGINCONTEXT\nENDCONTEXT\nThey taste sweet.\nENDINPUT\n"
                     "BEGININSTRUCTION\nWhat colour are blueberries?\nENDINSTRUCTION"),
                 say("assistant", "Green.\nSource:\nurl: https://a.example\ndate: 2021")}}},
          Json{{"id", "made-2"},
               {"category", "coding"},
               {"conversations", {say("human", "Print one. PLAINFORMAT"), say("assistant", "print(1)")}}},
          Json{{"id", "made-3"}, {"category", "general"}, {"conversations", {say("human", "Hi"), say("assistant", "Hello")}}},
          Json{{"id", "made-4"},
               {"conversations", {say("human", "Hi"), say("assistant", "Hello"), say("human", "Bye"), say("assistant", "See you")}}},
          Json{{"id", "made-5"},
               {"category", "rp"},
               {"system",
                "A conversation of several characters.\n\nCharacters:\nMia: x\nRolf: y\n\n"
                "The user speaks as Mia. Answer as Rolf, each line with its speaker's name."},
               {"conversations", {say("human", "Mia: a"), say("assistant", "Rolf: b")}}}));
}

TEST_F(AiroborosFiles, MistakesNameTheirRecord) {
  EXPECT_THAT(complaint("{\"instruction\": \"a\", \"response\": \"b\"}\n{\"instruction\": \"a\", \"response\": \"b</s> USER: c\"}"),
              AllOf(HasSubstr("in.json:2 (record 2)"), HasSubstr("ASSISTANT")));
  EXPECT_THAT(complaint(R"({"instruction": "a", "response": "b", "blocks": [{"text": "t"}], "cite": [2]})"), HasSubstr("cite 2"));
  EXPECT_THAT(complaint(R"({"instruction": "a", "response": "b", "blocks": [{"text": "t"}], "cite": [0]})"), HasSubstr("cite 0"));
  EXPECT_THAT(complaint(R"({"instruction": "a", "response": "b", "blocks": ["t"]})"), HasSubstr("a string as a block"));
  EXPECT_THAT(complaint(R"({"instruction": "a"})"), HasSubstr("no field 'response'"));
}

}  // namespace
}  // namespace herd
