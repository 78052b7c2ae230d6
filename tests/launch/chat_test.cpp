// A chat without its terminal: over a random model with a token a character.
#include "launch/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/chat_commands.h"
#include "launch/chat_lines.h"
#include "models/hub.h"
#include "models/registry.h"
#include "peft/adapter_io.h"
#include "peft/registry.h"
#include "runtime/base/file.h"
#include "tests/launch/ascii_tokenizer.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// vicuna's system text alone has 153 tokens here.
const json kConfig{{"model_type", "llama"},   {"vocab_size", 97},         {"hidden_size", 24},        {"intermediate_size", 40},
                   {"num_hidden_layers", 2},  {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"max_position_embeddings", 400},
                   {"initializer_range", 0.2}};

class ChatTest : public testing::Test {
 protected:
  ChatTest() {
    const auto model = make_model(kConfig);
    materialise(*model, at::kFloat);
    initialise(*model, 5);
    write_ascii_tokenizer(scratch_.path());
    save_hub_folder(*model, kConfig.dump(), scratch_ / "model", {.copies = tokenizer_files(scratch_.path()), .provenance = std::nullopt});
    options_.speaker.model = (scratch_ / "model").string();
    options_.speaker.template_name = "vicuna_v1.1";
    options_.speaker.threads = 1;
    options_.sampling.generation = {.sampling = {.temperature = 0}, .max_new_tokens = 20};
  }

  Chat chat() {
    return Chat(options_, {.text = [this](std::string_view text) { said_ += text; },
                           .notice = [this](const std::string& notice) { notices_.push_back(notice); },
                           .stop = [this] { return stop_after_ && said_.size() >= *stop_after_; }});
  }
  void run(Chat& chat, const std::string& line) {
    run_chat_command(chat, line, [this](const std::string& text) { lines_.push_back(text); });
  }
  void write_adapter(const std::string& name, const PeftOptions& options) {
    const auto loaded = load_hub_folder(scratch_ / "model", at::kFloat);
    const auto whole = attach(*loaded.model, options, 1);
    save_adapter(*loaded.model, whole, (scratch_ / "model").string(), {.base_fingerprint = loaded.fingerprint}, scratch_ / name);
  }
  static std::string last(const Chat& chat) { return chat.dialogue().record(0).turns.back().text; }

  Scratch scratch_;
  ChatOptions options_;
  std::string said_;
  std::vector<std::string> notices_, lines_;
  std::optional<std::size_t> stop_after_;
};

TEST_F(ChatTest, ATurnReadsOnlyWhatIsNew) {
  auto c = chat();
  const auto last_prompt = [&] {
    auto dialogue = c.dialogue();
    dialogue.reopen();
    return std::ssize(c.speaker().prompt(dialogue.record(0), std::nullopt).ids);
  };
  c.ask("first?");
  auto read = c.engine().prompt_tokens_read();
  auto former = last_prompt();
  EXPECT_EQ(read, former);
  for (const auto* question : {"and the second?", "3"}) {
    c.ask(question);
    const auto now = c.engine().prompt_tokens_read() - read;
    EXPECT_GT(now, 0);
    EXPECT_LE(now, last_prompt() - former);  // the answer before, this question, and the words around them
    read += now;
    former = last_prompt();
  }
}

TEST_F(ChatTest, AnswersGoOnFromWhatWasSaid) {
  auto c = chat();
  c.ask("one");
  const auto first = last(c);
  c.ask("two");
  const auto second = last(c);
  EXPECT_EQ(said_, first + "\n" + second + "\n");
  // Nothing of that is remembered elsewhere: the same conversation, loaded, is answered the same, from a cache or anew.
  c.save((scratch_ / "talk.json").string());
  auto other = chat();
  run(other, "/load " + (scratch_ / "talk.json").string());
  EXPECT_THAT(lines_, ElementsAre("2 questions"));
  EXPECT_EQ(last(other), second);
  other.ask_again();
  EXPECT_EQ(last(other), second);
  EXPECT_TRUE(other.undo());
  EXPECT_EQ(last(other), first);
  other.reset();
  other.ask("two");
  EXPECT_NE(last(other), second);
}

TEST_F(ChatTest, WithoutHistoryEachQuestionStandsAlone) {
  options_.no_history = true;
  auto c = chat();
  c.ask("one");
  c.ask("two");
  const auto second = last(c);
  auto other = chat();
  other.ask("two");
  EXPECT_EQ(last(other), second);
  EXPECT_EQ(c.dialogue().rounds(), 2u);
}

TEST_F(ChatTest, LeavesTheOldestQuestionsOutWithANotice) {
  auto c = chat();
  const std::string question(60, 'q');
  for (int i = 0; i < 6; ++i) c.ask(question);
  EXPECT_EQ(c.dialogue().rounds(), 6u);
  ASSERT_THAT(notices_, Contains(HasSubstr("left out")));
  EXPECT_THAT(notices_, Contains(HasSubstr("the oldest 1 of 3 questions")));
  // What does not fit at all is refused, and nothing of it stays.
  const auto before = c.dialogue().json();
  EXPECT_THAT(message_of<DataError>([&] { c.ask(std::string(400, 'q')); }), HasSubstr("399"));
  EXPECT_EQ(c.dialogue().json(), before);
  c.ask("short");
}

TEST_F(ChatTest, AQuestionThatIsRefusedLeavesNothingOut) {
  auto c = chat();
  const std::string question(60, 'q');
  for (int i = 0; i < 3; ++i) c.ask(question);
  ASSERT_THAT(notices_, Contains(HasSubstr("the oldest 1 of 3 questions")));
  notices_.clear();
  EXPECT_THROW(c.ask(std::string(400, 'q')), DataError);
  EXPECT_THAT(notices_, IsEmpty());
  c.ask(question);
  EXPECT_THAT(notices_, Contains(HasSubstr("the oldest 2 of 4 questions"))) << "of this question and not of the refused one";
}

TEST_F(ChatTest, TheContextIsThatOfTheAdapter) {
  write_adapter("clerk", {.method = "prompt", .num_virtual_tokens = 60});
  Dialogue talk;
  for (int i = 0; i < 3; ++i) talk.ask(std::string(40, 'q')), talk.answer(std::string(20, 'a'));
  std::ofstream(scratch_ / "talk.json") << talk.json();
  options_.speaker.adapters = {{.name = "", .folder = (scratch_ / "clerk").string()}};
  auto c = chat();
  c.load((scratch_ / "talk.json").string());
  c.ask_again();
  EXPECT_THAT(notices_, Contains(HasSubstr("the context of 340 tokens")));
}

TEST_F(ChatTest, AnAdapterWithoutANameIsCalledAsItsFolder) {
  write_adapter("clerk", {.method = "ia3"});
  options_.speaker.adapters = {{.name = "", .folder = (scratch_ / "clerk").string()}};
  auto c = chat();
  run(c, "/adapter none");
  EXPECT_EQ(c.adapter(), std::nullopt);
  run(c, "/adapter clerk");
  EXPECT_EQ(c.adapter(), 0u);
  run(c, "/adapter none");
  run(c, "/adapter " + (scratch_ / "clerk").string());
  EXPECT_EQ(c.adapter(), 0u);
  EXPECT_THAT(lines_.back(), HasSubstr("adapter: clerk; there are none, clerk"));
  EXPECT_THAT(message_of<ConfigError>([&] { run(c, "/adapter clark"); }), HasSubstr("did you mean 'clerk'"));
}

TEST_F(ChatTest, WhatIsStoppedIsKeptAsFarAsItCame) {
  auto c = chat();
  stop_after_ = 5;
  c.ask("one");
  EXPECT_EQ(last(c).size(), 5u);
  EXPECT_THAT(notices_, ElementsAre("stopped"));
  stop_after_ = 0;
  c.change({"stop=" + last(c).substr(0, 1) + "~~"});  // its first character is held back
  c.undo();
  c.ask("one");
  EXPECT_EQ(c.dialogue().rounds(), 0u);
  EXPECT_THAT(notices_.back(), HasSubstr("forgotten"));
  stop_after_.reset();
  c.ask("one");
  EXPECT_EQ(c.dialogue().rounds(), 1u);
}

TEST_F(ChatTest, WhatIsStoppedBeforeAWordLeavesAllAsItWas) {
  std::ofstream(scratch_ / "text") << "The sky is green.\n";
  auto c = chat();
  c.ask("one");
  const auto before = c.dialogue().json();
  run(c, "/context " + (scratch_ / "text").string());
  said_.clear();
  stop_after_ = 0;
  c.ask("two");
  EXPECT_EQ(said_, "\n");
  EXPECT_EQ(c.dialogue().json(), before);
  EXPECT_EQ(c.contexts(), 1u) << "the next question's";
  c.ask_again();
  EXPECT_EQ(c.dialogue().json(), before);
  EXPECT_THAT(notices_.back(), HasSubstr("former answer stays"));
}

TEST_F(ChatTest, AiroborosFormsAreOfTheNextQuestionAlone) {
  std::ofstream(scratch_ / "a text.txt") << "The sky is green.\n";
  auto c = chat();
  run(c, "/context \"" + (scratch_ / "a text.txt").string() + "\" date=2020-01-01 by=\"John Smith\"");
  run(c, "/plain");
  c.ask("Which colour?");
  EXPECT_EQ(c.dialogue().record(0).turns[0].text,
            "BEGININPUT\nBEGINCONTEXT\ndate: 2020-01-01\nby: John Smith\nENDCONTEXT\nThe sky is green.\nENDINPUT\nBEGININSTRUCTION\nWhich "
            "colour? PLAINFORMAT\nENDINSTRUCTION");
  c.ask("Why?");
  EXPECT_EQ(c.dialogue().record(1).turns[0].text, "Why?");
  EXPECT_THROW(run(c, "/context nowhere.txt"), IoError);
  EXPECT_THROW(run(c, "/context \"" + (scratch_ / "a text.txt").string() + "\" date"), ConfigError);
  std::ofstream(scratch_ / "bad") << "ENDINPUT";
  EXPECT_THROW(run(c, "/context " + (scratch_ / "bad").string()), DataError);
  EXPECT_EQ(c.contexts(), 0u);
}

TEST_F(ChatTest, SettingsAreThoseOfTheCommandLine) {
  auto c = chat();
  run(c, "/params temperature=0.9 top-k=5 seed=4");
  EXPECT_THAT(lines_, ElementsAre("temperature=0.9", "top-k=5", "seed=4"));
  c.ask("one");
  const auto first = last(c);
  c.ask_again();
  EXPECT_NE(last(c), first);
  EXPECT_THAT(message_of<ConfigError>([&] { run(c, "/params temprature=1"); }), HasSubstr("did you mean 'temperature'"));
  EXPECT_THAT(message_of<ConfigError>([&] { run(c, "/params seed=x"); }), HasSubstr("seed"));
  EXPECT_THROW(run(c, "/params top-p=7"), ConfigError);
  EXPECT_EQ(c.options().sampling.generation.sampling.top_p, 1);
  run(c, "/params max-new-tokens=3");
  c.ask("two");
  EXPECT_LE(last(c).size(), 3u);
  lines_.clear();
  run(c, "/params");
  EXPECT_THAT(lines_, testing::IsSupersetOf({"temperature=0.9", "max-new-tokens=3", "top-p=1"}));
}

TEST_F(ChatTest, CommandsThatAreNoneAreRefusedWithTheNearest) {
  auto c = chat();
  EXPECT_THAT(message_of<ConfigError>([&] { run(c, "/rest"); }), HasSubstr("did you mean 'reset'"));
  EXPECT_THAT(message_of<ConfigError>([&] { run(c, "/adapter poet"); }), HasSubstr("'poet'"));
  EXPECT_THROW(run(c, "/regen"), DataError);
  EXPECT_THROW(run(c, "/save"), ConfigError);
  EXPECT_THROW(run(c, "/load nowhere.json"), IoError);
  EXPECT_THROW(c.ask("\xff"), DataError);
  EXPECT_EQ(c.dialogue().rounds(), 0u);
  run(c, "/system Be brief.");
  EXPECT_EQ(c.dialogue().system, "Be brief.");
  EXPECT_THAT(notices_, IsEmpty());
}

TEST(ChatLines, AMessageMayHaveSeveralLines) {
  const auto messages = [](const std::string& text) {
    std::istringstream in(text);
    StreamLines lines(in);
    std::vector<std::string> out;
    for (auto message = read_message(lines); message.kind == ChatLine::Kind::kText; message = read_message(lines))
      out.push_back(message.text);
    return out;
  };
  EXPECT_THAT(messages("one\r\n\ntwo"), ElementsAre("one", "", "two"));
  EXPECT_THAT(messages("a\\\nb\\\n\nc\n"), ElementsAre("a\nb\n", "c"));
  EXPECT_THAT(messages("\"\"\"\na\\\n\n b\n\"\"\"\nc\n"), ElementsAre("a\\\n\n b\n", "c"));
  EXPECT_THAT(messages("\"\"\"a\nb\"\"\"\n\"\"\"c\"\"\"\nd"), ElementsAre("a\nb", "c", "d"));
  EXPECT_THAT(messages("\"\"\"a\nb"), ElementsAre("a\nb\n"));
  EXPECT_THAT(messages("a\\"), ElementsAre("a\n"));
}

TEST(ChatWords, ArePartedBySpaceOutsideOfQuotes) {
  EXPECT_THAT(words_of(" a  \"b c\"\td=\"e f\"g \"\" "), ElementsAre("a", "b c", "d=e fg", ""));
  EXPECT_THAT(words_of("  "), IsEmpty());
}

}  // namespace
}  // namespace herd::test
