// Records that a model makes up: prompts, replies parted into drafts, what is rejected, and the order in which replies count.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "infer/instruct/asking.h"
#include "infer/instruct/drafts.h"
#include "infer/instruct/instructor.h"
#include "infer/instruct/production.h"
#include "infer/instruct/reply_ledger.h"
#include "infer/instruct/screening.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kPlain =
    "prompt: 'Make {batch}: {examples}'\nexamples: 2\nbatch: 3\nexample: '{number}. {instruction}|{input}|{output}'\n"
    "labels: {instruction: Instruction, input: Input, output: Response}\nbounds: {shortest_instruction: 2}\nforbidden: [graph, 图片]\n";
constexpr const char* kTwoSteps =
    "prompt: 'Make {batch} about\n\n  {topics}'\ntopics: 3\nbatch: 3\nanswer_prompt: 'Do: {instruction}'\nlabels: {instruction: "
    "Instruction}\n";

Instructor plain() { return parse_instructor("plain", kPlain, "plain.yaml"); }
Instructor two_steps() { return parse_instructor("two", kTwoSteps, "two.yaml"); }

std::vector<SeedTask> seeds(int count) {
  std::vector<SeedTask> out;
  for (int i = 0; i < count; ++i) out.push_back({"seed " + std::to_string(i), i % 2 ? "in" : "", "out"});
  return out;
}

ChatReply said(std::string text, std::string finish = "stop") {
  return {.text = std::move(text), .finish = std::move(finish), .prompt_tokens = 10, .answer_tokens = 5, .why = ""};
}

std::vector<std::string> rejections(const std::vector<Draft>& drafts) {
  std::vector<std::string> out;
  for (const auto& draft : drafts) out.emplace_back(draft.rejection ? name(*draft.rejection) : "");
  return out;
}

TEST(Instructor, EveryShippedOneIsWhole) {
  const auto table = shipped_instructors();
  EXPECT_THAT(table.names(), testing::IsSupersetOf({"self_instruct", "self_instruct_zh", "general", "coding", "contextual", "chat"}));
  for (const auto& [name, instructor] : table) {
    EXPECT_NE(instructor.description, "") << name;
    EXPECT_NE(instructor.source, "") << name;
    EXPECT_TRUE(instructor.language == "EN" || instructor.language == "CN") << name;
    EXPECT_EQ(name.ends_with("_zh"), instructor.language == "CN") << name;
    const Asking asking(instructor, seeds(10), std::vector<std::string>(20, "a topic"), 1);
    EXPECT_EQ(asking.request(0, {}).question.prompt.find('{'), std::string::npos) << name;
  }
}

TEST(Instructor, TellsWhatIsWrong) {
  const auto refused = [](const std::string& text) {
    return test::message_of<ConfigError>([&] { parse_instructor("x", text, "x.yaml"); });
  };
  EXPECT_THAT(refused("promt: a\n"), AllOf(HasSubstr("x.yaml:1"), HasSubstr("prompt")));
  EXPECT_THAT(refused("labels: {instruction: a, output: b}\n"), HasSubstr("'prompt'"));
  EXPECT_THAT(refused("prompt: '{topic}'\nlabels: {instruction: a, output: b}\n"), AllOf(HasSubstr("{topic}"), HasSubstr("topics")));
  EXPECT_THAT(refused("prompt: '{topics}'\nlabels: {instruction: a, output: b}\n"), HasSubstr("'topics'"));
  EXPECT_THAT(refused("prompt: a\nlabels: {instruction: a}\n"), HasSubstr("answer_prompt"));
  EXPECT_THAT(refused("prompt: a\nlabels: {user: a, assistant: b}\n"), HasSubstr("'system'"));
  EXPECT_THAT(refused("prompt: a\nform: closed_context\nlabels: {instruction: a, output: b}\n"), HasSubstr("'input'"));
  EXPECT_THAT(refused("- a\n"), HasSubstr("no keys"));
  EXPECT_THAT(test::message_of<ConfigError>([] { find_instructor("self_instrct"); }), HasSubstr("self_instruct"));
}

TEST(Places, FillNamesAlone) {
  EXPECT_EQ(fill_places("{a} {A} {} {a b} {\"a\": {a}} {", {{"a", "x{a}"}}, "t"), "x{a} {A} {} {a b} {\"a\": x{a}} {");
  EXPECT_THAT(test::message_of<ConfigError>([] { fill_places("{b}", {{"a", ""}}, "t"); }), HasSubstr("{b}"));
}

TEST(Drafts, ArePartedAtTheirLabels) {
  const auto drafts = drafts_of(
      plain(), said("Sure! Here they are.\n###\n4. Instruction: Sort the words.\nInput: b\na\nResponse: a\n\nInput: is no label here\n"
                    "###\n**Instruction 5:** Say hello.\n**Input:** None\n**Response：** Hello\n---\n"));
  ASSERT_THAT(rejections(drafts), ElementsAre("", ""));
  EXPECT_EQ(drafts[0].record.turns[0].text, "Sort the words.");
  EXPECT_EQ(drafts[0].record.turns[0].input, "b\na");
  EXPECT_EQ(drafts[0].record.turns[1].text, "a\n\nInput: is no label here");
  EXPECT_EQ(drafts[0].record.category, "plain");
  EXPECT_EQ(drafts[1].record.turns[0], (Turn{.role = Role::kUser, .text = "Say hello.", .input = ""}));
  EXPECT_EQ(drafts[1].record.turns[1].text, "Hello");
}

TEST(Drafts, OfChinese) {
  const auto kind = parse_instructor("zh", "prompt: x\nlabels: {instruction: 指令, input: 输入, output: 回答, nothing: 无}\n", "zh.yaml");
  const auto drafts = drafts_of(
      kind, said("###\n1. 指令：写一首关于秋天的诗。\n输入：无\n回答：秋风起，\n白云飞。\n###\n2. 指令: 算一算结果。\n输入: 1+1\n回答: 2"));
  ASSERT_THAT(rejections(drafts), ElementsAre("", ""));
  EXPECT_EQ(drafts[0].record.turns[0].input, "");
  EXPECT_EQ(drafts[0].record.turns[1].text, "秋风起，\n白云飞。");
  EXPECT_EQ(drafts[1].record.turns[1].text, "2");
}

TEST(Drafts, AreRejectedForAReason) {
  EXPECT_THAT(
      rejections(drafts_of(
          plain(),
          said("Instruction: no answer here\nInput: a\nInstruction: one\nResponse: b\nInstruction: draw a Graph of it\nResponse: c\n"
               "Instruction: do something\nResponse: I'm sorry, but I can't do that.\nInstruction: an empty one\nResponse:\n"
               "Instruction: describe photography\nResponse: fine\nInstruction: the last one\nResponse: is cut of",
               "length"))),
      ElementsAre("malformed", "too short", "forbidden words", "refused by the model", "malformed", "", "unfinished"));
  EXPECT_THAT(rejections(drafts_of(plain(), said("As an AI language model, I have no opinions."))), ElementsAre("refused by the model"));
  EXPECT_THAT(rejections(drafts_of(plain(), said("<html>not found</html>"))), ElementsAre("malformed"));
  EXPECT_THAT(rejections(drafts_of(plain(), said(""))), ElementsAre("malformed"));
  EXPECT_THAT(
      rejections(drafts_of(plain(), {.text = std::nullopt, .finish = "", .prompt_tokens = {}, .answer_tokens = {}, .why = "status 400"})),
      ElementsAre("unanswered"));
}

TEST(Drafts, OfAClosedContext) {
  const auto drafts = drafts_of(
      find_instructor("contextual"),
      said("###\nMetadata:\ndate: 2021-02-03\nurl: https://example.org/a\nPassage: The mill has two wheels.\nIt was built in 1802.\n"
           "Instruction: When was the mill with two wheels built? Give the source.\nResponse: It was built in 1802.\n"
           "###\nMetadata: nothing of the form\nPassage: x\nInstruction: What is this all about, then?\nResponse: Nobody knows.\n"));
  ASSERT_THAT(rejections(drafts), ElementsAre("", "malformed"));
  EXPECT_EQ(drafts[0].record.turns[0].text,
            "BEGININPUT\nBEGINCONTEXT\ndate: 2021-02-03\nurl: https://example.org/a\nENDCONTEXT\nThe mill has two wheels.\nIt was built in "
            "1802.\nENDINPUT\n"
            "BEGININSTRUCTION\nWhen was the mill with two wheels built? Give the source.\nENDINSTRUCTION");
  EXPECT_THAT(drafts[0].record.turns[1].text,
              AllOf(HasSubstr("It was built in 1802."), HasSubstr("Source:\ndate: 2021-02-03\nurl: https://example.org/a")));
}

TEST(Drafts, OfCodeAndConversations) {
  const auto coding = find_instructor("coding");
  auto draft = drafts_of(coding, said("Instruction: Write a Python program that prints each line twice.")).at(0);
  ASSERT_FALSE(draft.rejection);
  EXPECT_EQ(draft.record.turns.at(0).text, "Write a Python program that prints each line twice. PLAINFORMAT");
  auto broken = draft.record;
  EXPECT_FALSE(
      add_answer(coding, said("Here:\n```python\nimport sys\nfor line in sys.stdin:\n    print(line * 2)\n```\nDone."), draft.record));
  EXPECT_EQ(draft.record.turns.at(1).text, "import sys\nfor line in sys.stdin:\n    print(line * 2)");
  EXPECT_EQ(add_answer(coding, said("```python\nimport sys"), broken), Rejection::kMalformed);
  const auto chats = drafts_of(find_instructor("chat"), said("###\nSetting: You are a gardener.\nUser: When do I sow beans?\nAssistant: In "
                                                             "May.\nUser: Why?\nAssistant: Frost\nkills them.\nUser: Thanks\n"
                                                             "###\nSetting: You are mute.\nAssistant: Hello there, you.\n"));
  ASSERT_THAT(rejections(chats), ElementsAre("", "malformed"));
  EXPECT_EQ(chats[0].record.system, "You are a gardener.");
  ASSERT_THAT(chats[0].record.turns, SizeIs(4));
  EXPECT_EQ(chats[0].record.turns[3].text, "Frost\nkills them.");
}

TEST(Screening, KnowsRefusalsInBothLanguages) {
  for (const auto* text : {"As an AI language model, I cannot", "Well, as an AI Language Model I", " I’m sorry, but I can’t help",
                           "Sorry, I can't", "作为一个AI语言模型，我", "很抱歉，我无法回答", "作为人工智能，我没有感情"})
    EXPECT_TRUE(refuses(text)) << text;
  for (const auto* text :
       {"She said: I'm sorry, but I can't stay.", "The AI model was trained.", "他说对不起，我不能去。", "人工智能是一门学科。", ""})
    EXPECT_FALSE(refuses(text)) << text;
}

TEST(Screening, CountsWordsAndCharacters) {
  const LengthBounds bounds{.shortest_instruction = 3, .longest_instruction = 5, .shortest_output = 2, .longest_output = 4};
  const auto found = [&](const char* question, const char* answer) {
    const auto rejection = screen(instruction_record(question, "", answer), bounds);
    return std::string(rejection ? name(*rejection) : "");
  };
  EXPECT_EQ(found("name it, please", "a b"), "");
  EXPECT_EQ(found("name it!!!", "a b"), "too short");
  EXPECT_EQ(found("one two three four five six", "a b"), "too long");
  EXPECT_EQ(found("写首诗", "好的"), "");
  EXPECT_EQ(found("写诗", "好的"), "too short");
  EXPECT_EQ(found("写首诗", "一二三四五"), "too long");
  EXPECT_EQ(found("name it, please", " \n"), "malformed");
  EXPECT_EQ(forbidden_word("A photograph, of course", {"graph", "Photograph"}), "Photograph");
  EXPECT_EQ(forbidden_word("看图片吧", {"图片"}), "图片");
  EXPECT_EQ(forbidden_word("graphs", {"graph"}), "");
}

TEST(Asking, IsAFunctionOfSeedAndNumber) {
  const Asking one(plain(), seeds(20), {}, 3), same(plain(), seeds(20), {}, 3), other(plain(), seeds(20), {}, 4);
  EXPECT_EQ(one.request(7, {}).question.prompt, same.request(7, {}).question.prompt);
  EXPECT_NE(one.request(7, {}).question.prompt, one.request(8, {}).question.prompt);
  EXPECT_NE(one.request(7, {}).question.prompt, other.request(7, {}).question.prompt);
  const auto of = one.request(7, {}).of;
  ASSERT_THAT(of.seeds, SizeIs(2));
  EXPECT_NE(of.seeds[0], of.seeds[1]);
  EXPECT_THAT(one.request(7, {}).question.prompt, HasSubstr("1. seed " + std::to_string(of.seeds[0] - 1) + "|"));
}

TEST(Asking, TakesEachTopicAsOften) {
  const Asking asking(two_steps(), {}, {"a", "b", "c", "d", "e", "f", "g"}, 5);
  std::map<std::string, int> times;
  for (int i = 0; i < 14; ++i)
    for (const auto& topic : asking.request(i, {}).of.topics) ++times[topic];
  EXPECT_THAT(times, SizeIs(7));
  for (const auto& [topic, count] : times) EXPECT_EQ(count, 6) << topic;
}

TEST(Asking, RefusesTooFew) {
  EXPECT_THAT(test::message_of<ConfigError>([] { Asking(plain(), seeds(1), {}, 1); }), AllOf(HasSubstr("--seeds"), HasSubstr("2 or more")));
  EXPECT_THAT(test::message_of<ConfigError>([] { Asking(two_steps(), {}, {"a", "b"}, 1); }), HasSubstr("--topics"));
  EXPECT_THAT(test::message_of<ConfigError>([] { Asking(plain(), seeds(5), {}, 1, 3); }), HasSubstr("--own-examples"));
}

/// A service that says something else of each request, every third instruction anew.
ChatReply made_up(const ProductionJob& job) {
  if (job.part > 0)
    return said(job.part == 2 && job.request % 2 == 0 ? "I cannot assist with that." : "done as " + std::to_string(job.request));
  std::string text;
  for (int i = 0; i < 3; ++i) {
    const auto number =
        i == 2 && job.request > 0 ? std::to_string(job.request - 1) + "x0" : std::to_string(job.request) + "x" + std::to_string(i);
    text += "Instruction: tell of k" + number + " m" + number + " n" + number + "\nResponse: well\n";
  }
  return said(text);
}

/// Every reply in an order of chance. @return what came out, with its counts.
std::vector<std::string> produced(const Asking& asking, const ProductionOptions& options, unsigned chance) {
  Production production(asking, options);
  std::mt19937 random(chance);
  std::vector<ProductionJob> under_way;
  for (int step = 0; !production.ended(); ++step) {
    while (auto job = production.next()) under_way.push_back(std::move(*job));
    if (under_way.empty() || step > 10'000) return {"stuck"};
    const auto at = static_cast<std::ptrdiff_t>(random() % under_way.size());
    const auto job = std::move(under_way[static_cast<std::size_t>(at)]);
    under_way.erase(under_way.begin() + at);
    production.take(job, made_up(job));
  }
  std::vector<std::string> out{told(production.rejected()), std::to_string(production.requests())};
  for (const auto& made : production.records()) {
    out.push_back(std::to_string(made.request) + "." + std::to_string(made.part) + " " + made.record.turns.at(0).text + " -> " + made.record.turns.at(1).text);
    for (const auto shown : made.of.generated) out.back() += " after " + std::to_string(shown);
  }
  return out;
}

TEST(Production, IsTheSameInAnyOrderOfReplies) {
  const Asking one_step(plain(), seeds(9), {}, 1), two(two_steps(), {}, {"a", "b", "c", "d"}, 1), own(plain(), seeds(9), {}, 1, 1);
  for (const auto* asking : {&one_step, &two, &own}) {
    ProductionOptions options{.count = 25, .window = 5, .patience = 20, .near = {}};
    const auto expected = produced(*asking, options, 0);
    ASSERT_THAT(expected, SizeIs(27)) << expected.at(0);
    EXPECT_THAT(expected[0], HasSubstr("near duplicate"));
    for (unsigned chance = 1; chance < 30; ++chance) EXPECT_EQ(produced(*asking, options, chance), expected);
    if (asking == &own) continue;  // what prompts show of it depends on the window
    options.window = 1;
    EXPECT_EQ(produced(*asking, options, 1), expected);
  }
}

TEST(Production, ShowsWhatWasGenerated) {
  const Asking own(plain(), seeds(9), {}, 1, 1);
  Production production(own, {.count = 30, .window = 1, .patience = 20, .near = {}});
  auto job = production.next().value();
  EXPECT_EQ(job.question.prompt.find("tell of"), std::string::npos);
  EXPECT_FALSE(production.next());
  production.take(job, made_up(job));
  job = production.next().value();
  EXPECT_THAT(job.question.prompt, HasSubstr("2. tell of k0x"));
  production.take(job, made_up(job));
  EXPECT_THAT(production.records().back().of.generated, SizeIs(1));
}

TEST(Production, NothingLikeASeed) {
  auto tasks = seeds(3);
  tasks[0].instruction = "tell of k0x1 m0x1 n0x1";
  const Asking asking(plain(), tasks, {}, 1);
  EXPECT_THAT(produced(asking, {.count = 2, .window = 1, .patience = 3, .near = {}}, 1),
              ElementsAre(HasSubstr("1 near duplicate"), "1", HasSubstr("k0x0"), HasSubstr("k0x2")));
}

TEST(Production, GivesUpWhereNothingComes) {
  const Asking asking(plain(), seeds(3), {}, 1);
  Production production(asking, {.count = 10, .window = 2, .patience = 3, .near = {}});
  int asked = 0;
  while (auto job = production.next()) {
    ++asked;
    production.take(*job, said(asked == 2 ? "Instruction: one that stays\nResponse: fine" : "blah"));
  }
  EXPECT_TRUE(production.gave_up());
  EXPECT_EQ(asked, 5);
  EXPECT_THAT(production.records(), SizeIs(1));
  EXPECT_EQ(production.rejected().at(Rejection::kMalformed), 4);
}

TEST(ReplyLedger, KeepsWholeLinesAndCounts) {
  const test::Scratch scratch;
  const auto file = scratch / "replies.log";
  const AnswerSettings settings{{"model", "m"}};
  const ProductionJob one{.request = 0, .part = 0, .question = {.prompt = "a"}}, two{.request = 1, .part = 0, .question = {.prompt = "b"}};
  {
    ReplyLedger ledger(file, settings);
    EXPECT_FALSE(ledger.find(one));
    ledger.add(one, said("first\nline \xff"));
    ledger.add(two, said("second"));
  }
  const auto whole = std::filesystem::file_size(file);
  for (auto size = whole; size > whole - 20; --size) {  // killed within the last line
    std::filesystem::resize_file(file, size);
    ReplyLedger ledger(file, settings);
    EXPECT_EQ(ledger.find(one).value().text, "first\nline \xef\xbf\xbd");
    EXPECT_EQ(ledger.find(two).has_value(), size == whole) << size;
    EXPECT_EQ(ledger.answer_tokens(), size == whole ? 10 : 5);
    std::filesystem::resize_file(file, size);
  }
  {
    ReplyLedger ledger(file, settings);
    ledger.add(two, said("again"));
  }
  ReplyLedger ledger(file, settings);
  EXPECT_EQ(ledger.find(two).value().text, "again");
  EXPECT_EQ(ledger.texts(), 2);
  auto changed = one;
  changed.question.prompt = "c";
  EXPECT_FALSE(ledger.find(changed));
  EXPECT_THAT(test::message_of<ConfigError>([&] {
                ReplyLedger(file, {{"model", "n"}});
              }),
              AllOf(HasSubstr("model m"), HasSubstr("model n")));
}

TEST(ReplyLedger, FailuresWaitForAText) {
  const test::Scratch scratch;
  const auto file = scratch / "replies.log";
  const ProductionJob one{.request = 0, .part = 0, .question = {.prompt = "a"}}, two{.request = 1, .part = 0, .question = {.prompt = "b"}};
  const ChatReply none{.text = std::nullopt, .finish = "", .prompt_tokens = {}, .answer_tokens = {}, .why = "status 400"};
  ReplyLedger(file, {}).add(one, none);
  EXPECT_FALSE(ReplyLedger(file, {}).find(one));
  {
    ReplyLedger ledger(file, {});
    ledger.add(one, none);
    ledger.add(two, said("b"));
  }
  EXPECT_EQ(ReplyLedger(file, {}).find(one).value().why, "status 400");
  std::ofstream(file) << "no settings\n";
  EXPECT_THAT(test::message_of<IoError>([&] { ReplyLedger(file, {}); }), HasSubstr("first line"));
}

}  // namespace
}  // namespace herd
