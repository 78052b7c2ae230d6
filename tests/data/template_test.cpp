#include "data/template/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "data/formatter.h"
#include "data/readers/reader.h"
#include "data/template/encode.h"
#include "data/template/render.h"
#include "runtime/base/error.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using Json = nlohmann::json;
using test::ByteTokenizer;
using test::kWithInput;
using test::kWithoutInput;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kEos = "</s>";

Record conversation(std::initializer_list<std::pair<std::string, std::string>> rounds, std::string system = "") {
  Record out;
  out.system = std::move(system);
  for (const auto& [question, answer] : rounds) {
    out.turns.push_back({.role = Role::kUser, .text = question});
    out.turns.push_back({.role = Role::kAssistant, .text = answer});
  }
  return out;
}

std::string rendered(const std::string& name, const Record& record) { return text_of(render(templates().at(name), record), kEos); }
std::string prompt_of(const std::string& name, const Record& record) { return text_of(render_prompt(templates().at(name), record), kEos); }

std::string filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [slot, value] : values)
    for (std::size_t at = 0; (at = text.find("{" + slot + "}", at)) != text.npos; at += value.size()) text.replace(at, slot.size() + 2, value);
  return text;
}

TEST(Template, AlpacaIsByteForByteAlpaca) {
  EXPECT_EQ(prompt_of("alpaca", instruction_record("Add.", "1 {2}", "3")), kWithInput);
  EXPECT_EQ(prompt_of("alpaca", instruction_record("Add.", "", "3")), kWithoutInput);
  EXPECT_EQ(rendered("alpaca", instruction_record("Add.", "", "3")), std::string(kWithoutInput) + " 3</s>");
}

// What is published, put together from the collected facts, for a question, one with an input and three rounds.
class Facts : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = test::assets().parent_path() / "spec/facts/templates.json";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
    facts = Json::parse(std::ifstream(path));
  }
  std::string fact(const std::string& key, const std::string& part) const { return facts.at(key).at(part); }
  std::string answer(const std::string& key) const { return facts.at(key); }

  Json facts;
  const Record one = instruction_record("Q {x}", "", "A"), with_input = instruction_record("Q", "I", "A");
  const Record three = conversation({{"Q1", "A1"}, {"Q2", "A2"}, {"Q3", "A3"}});
};

TEST_F(Facts, AlpacaAndItsKin) {
  for (const auto* name : {"prompt_input", "prompt_no_input"}) {
    const auto& record = name == std::string("prompt_input") ? with_input : one;
    EXPECT_EQ(prompt_of("alpaca", record), filled(fact("alpaca_cot.PROMPT_DICT", name), {{"instruction", record.turns[0].text}, {"input", "I"}}));
    EXPECT_EQ(prompt_of("alpaca", record),
              filled(facts.at("alpaca_lora").at("alpaca_legacy").at(name), {{"instruction", record.turns[0].text}, {"input", "I"}}));
    for (const auto& [ours, theirs] : {std::pair{"alpaca_lora", "alpaca"}, {"alpaca_short", "alpaca_short"}})
      EXPECT_EQ(prompt_of(ours, record), filled(facts.at("alpaca_lora").at(theirs).at(name), {{"instruction", record.turns[0].text}, {"input", "I"}})) << ours;
  }
  const std::string train = facts.at("chinese_llama_alpaca").at("train");
  EXPECT_EQ(rendered("chinese_llama", with_input), filled(train, {{"instruction", "Q\nI"}}) + "A</s>");
}

// By the rule of uniform_finetune.py: Human and Assistant become ###, a line end before ### gets </s> behind it, one more stands at the end.
TEST_F(Facts, AlpacaOfSeveralRounds) {
  const std::string instruction = "### Human: Q1\n### Assistant: A1\n### Human: Q2\n### Assistant: A2\n### Human: Q3\n### Assistant: ";
  auto text = filled(fact("alpaca_cot.PROMPT_DICT", "prompt_multirun_input"), {{"instruction", instruction}, {"output", "A3"}}) + "</s>";
  for (std::size_t at = 0; (at = text.find("\n### ", at)) != text.npos; at += 5)
    if (at == 0 || text[at - 1] != '\n') text.replace(at, 1, "\n</s>");
  EXPECT_EQ(rendered("alpaca", three), text);
  EXPECT_EQ(rendered("moss_alpaca", three), fact("alpaca_cot._META_INSTRUCTION", "moss") + text);
}

TEST_F(Facts, Belle) {
  EXPECT_EQ(prompt_of("belle_v1", one), filled(answer("belle.v1_prompt"), {{"input", "Q {x}"}}));
  std::string turns;
  for (const auto* n : {"1", "2", "3"})
    turns += filled(fact("belle.v2_turn", "human"), {{"value", std::string("Q") + n}}) +
             filled(fact("belle.v2_turn", "assistant"), {{"value", std::string("A") + n}, {"<eos>", ""}});
  for (std::size_t at = 0; (at = turns.find("<eos>", at)) != turns.npos;) turns.replace(at, 5, kEos);
  EXPECT_EQ(rendered("belle_v2", three), turns);
  EXPECT_FALSE(templates().at("belle_v2").special);
  auto exam = instruction_record("1+1?", "A.1 B.2", "B");
  exam.category = "单选";
  EXPECT_EQ(prompt_of("belle_exam", exam),
            filled(answer("belle.exam"), {{"type", "单选"}, {"question", "1+1?"}, {"candidates joined by space", "A.1 B.2"}}));
}

// FastChat's two rules for such styles.
TEST_F(Facts, FastChat) {
  for (const auto& [ours, key] : {std::pair{"vicuna_v1.1", "fastchat.vicuna_v1.1"}, {"airoboros_v1", "fastchat.airoboros_v1"}, {"airoboros_v2", "fastchat.airoboros_v2"}}) {
    const auto& f = facts.at(key);
    const std::string sep = f.at("sep"), sep2 = f.at("sep2");
    std::string expected = f.at("system").get<std::string>() + sep;
    for (int i = 0; i < 3; ++i) {
      expected += f.at("roles")[0].get<std::string>() + ": Q" + std::to_string(i + 1) + sep;
      expected += f.at("roles")[1].get<std::string>() + ": A" + std::to_string(i + 1) + sep2;
    }
    EXPECT_EQ(rendered(ours, three), expected) << ours;
  }
  const auto& f = facts.at("fastchat.airoboros_v3");
  const std::string system = filled(f.at("system_template"), {{"system_message", f.at("system")}}), user = f.at("roles")[0], model = f.at("roles")[1];
  std::string expected = system + "Q1 " + model + " A1" + f.at("sep2").get<std::string>();
  expected += user + " Q2 " + model + " A2" + f.at("sep2").get<std::string>();
  expected += user + " Q3 " + model + " A3 </s>";  // the last one opens no further turn
  EXPECT_EQ(rendered("airoboros_v3", three), expected);
}

TEST_F(Facts, AiroborosByItsCards) {
  for (const auto& [ours, key] : {std::pair{"airoboros_1.4", "airoboros.card_1.4"}, {"airoboros_1.2", "airoboros.card_1.2"}})
    EXPECT_EQ(rendered(ours, one), filled(answer(key), {{"prompt", "Q {x}"}}) + "A</s>") << ours;
}

TEST_F(Facts, ChatGlm) {
  EXPECT_EQ(prompt_of("chatglm", one), filled(answer("chatglm.first_turn"), {{"query", "Q {x}"}}));
  const auto rounds = [&](const std::string& key, int first) {
    std::string out;
    for (int i = 0; i < 2; ++i)
      out += filled(fact(key, "turn"), {{"i", std::to_string(i + first)}, {"q", "Q" + std::to_string(i + 1)}, {"a", "A" + std::to_string(i + 1)}});
    return out + filled(fact(key, "last"), {{"n", std::to_string(2 + first)}, {"q", "Q3"}});
  };
  EXPECT_EQ(text_of(render_prompt(templates().at("chatglm"), three), ""), rounds("chatglm.history", 0));
  EXPECT_EQ(text_of(render_prompt(templates().at("chatglm2"), three), ""), rounds("chatglm2.history", 1));
}

TEST_F(Facts, MossAndInternLm) {
  std::string moss = fact("alpaca_cot._META_INSTRUCTION", "moss"), internlm;
  for (const auto* n : {"1", "2", "3"}) {
    moss += filled(fact("moss.chat", "turn"), {{"q", std::string("Q") + n}, {"a", std::string("A") + n}});
    internlm += filled(fact("internlm.chat", "turn"), {{"q", std::string("Q") + n}, {"a", std::string("A") + n}});
  }
  EXPECT_EQ(rendered("moss", three) + "\n", moss);  // what parts turns is not written behind the last one
  EXPECT_EQ(rendered("internlm", three) + "\n", internlm);
  EXPECT_EQ(prompt_of("moss_alpaca", one), fact("alpaca_cot._META_INSTRUCTION", "moss") + filled(fact("alpaca_cot.PROMPT_DICT", "prompt_no_input"), {{"instruction", "Q {x}"}}));
}

// Of these the facts have no text; section 5 of the specification, the models' own code and chat templates do.
TEST(Template, ChatsOfTheHub) {
  const auto two = conversation({{"Q1", "A1"}, {"Q2", "A2"}}), told = conversation({{"Q1", "A1"}, {"Q2", "A2"}}, "S");
  EXPECT_EQ(rendered("llama-2-chat", told), "[INST] <<SYS>>\nS\n<</SYS>>\n\nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST] A2 </s>");
  EXPECT_EQ(rendered("llama-2-chat", two), "[INST] Q1 [/INST] A1 </s><s>[INST] Q2 [/INST] A2 </s>");
  EXPECT_EQ(rendered("llama-3", told),
            "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ1<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ2<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nA2<|eot_id|>");
  EXPECT_EQ(rendered("chatml", two), "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>");
  EXPECT_EQ(rendered("mistral", two), "[INST] Q1 [/INST] A1</s>[INST] Q2 [/INST] A2</s>");
  EXPECT_EQ(rendered("baichuan-chat", told), "S<reserved_102>Q1<reserved_103>A1</s><reserved_102>Q2<reserved_103>A2</s>");
}

TEST(Template, MossLearnsThoughtsAndCallsAndNotResults) {
  Record record;
  record.system = "Meta\n";
  record.turns = {{.role = Role::kUser, .text = "2x=4"}, {.role = Role::kThought, .text = "solve"}, {.role = Role::kCall, .text = "Solve(\"2x=4\")"},
                  {.role = Role::kTool, .text = "x=2"}, {.role = Role::kAssistant, .text = "It is 2."}};
  const auto pieces = render(templates().at("moss"), record);
  EXPECT_EQ(text_of(pieces, kEos), "Meta\n<|Human|>: 2x=4<eoh>\n<|Inner Thoughts|>: solve<eot>\n<|Commands|>: Solve(\"2x=4\")<eoc>\n<|Results|>:\nx=2\n<eor>\n<|MOSS|>: It is 2.<eom>");
  std::string learnt;
  for (const auto& piece : pieces)
    if (piece.written) learnt += piece.text;
  EXPECT_EQ(learnt, " solve<eot> Solve(\"2x=4\")<eoc> It is 2.<eom>");
  EXPECT_THAT(message_of<DataError>([&] { render(templates().at("vicuna_v1.1"), record); }), AllOf(HasSubstr("vicuna_v1.1"), HasSubstr("thought")));
}

// The published conversations, put together again from what was read of them.
TEST(Template, MossConversationsAreWrittenAsPublished) {
  HERD_NEED_ASSET("data/chat/moss");
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::assets() / "data/chat/moss")) {
    const auto json = nlohmann::ordered_json::parse(std::ifstream(entry.path()));
    std::string published = json.at("meta_instruction");
    for (const auto& [name, turn] : json.at("chat").items())
      for (const auto* part : {"Human", "Inner Thoughts", "Commands", "Tool Responses", "MOSS"}) published += turn.at(part).get<std::string>();
    const auto records = read_records(std::vector{entry.path().string()}).records;
    ASSERT_EQ(records.size(), 1u) << entry;
    EXPECT_EQ(text_of(render(templates().at("moss"), records[0]), "") + "\n", published) << entry;
    ++count;
  }
  EXPECT_EQ(count, 12);
}

// Holds for every template there will be.
TEST(Template, AnswersComeOutAsTheyWentIn) {
  std::set<std::string> fingerprints;
  for (const auto& [name, t] : templates()) {
    for (const auto* output : {"yes", "two\nlines", "答案", "a  b"}) {
      const auto record = instruction_record("i", "x", output);
      auto written = text_of(render(t, record), "").substr(text_of(render_prompt(t, record), "").size());
      const auto frame = answer_frame(t, 1, true);
      for (const auto& end : frame.ends) written = written.substr(0, std::min(written.find(end), written.size()));
      EXPECT_EQ(frame.answer(written), output) << name;
    }
    EXPECT_TRUE(fingerprints.insert(t.fingerprint).second) << name;
    EXPECT_FALSE(t.description.empty() || t.source.empty()) << name;
  }
  EXPECT_THROW(templates().at("alpacca"), ConfigError);
}

class TemplateFile : public testing::Test {
 protected:
  std::string file(const std::string& text) const {
    const auto path = (folder_ / "mine.yaml").string();
    std::ofstream(path) << text;
    return path;
  }
  std::string complaint(const std::string& text) const {
    return message_of<ConfigError>([&] { find_template(file(text)); });
  }
  test::Scratch folder_;
};

TEST_F(TemplateFile, OfTheUsersOwn) {
  const auto mine = find_template(file("user: \"<{category}> {text} {{round} {\\\"a\\\": 1}\\n\"\nassistant: {header: \"> \", text: \"{text}\", end: \"{eos}\"}\n"));
  auto record = instruction_record("Q", "I", "A");
  record.category = "math";
  EXPECT_EQ(text_of(render(*mine, record), kEos), "<math> Q\nI {round} {\"a\": 1}\n> A</s>");
  EXPECT_EQ(mine->name, "mine");
}

TEST_F(TemplateFile, NamesWhatIsWrong) {
  EXPECT_THAT(complaint("user: \"{txt}\"\nassistant: {text: \"{text}\", end: \"{eos}\"}\n"),
              AllOf(HasSubstr("mine.yaml"), HasSubstr("an undefined slot {txt}"), HasSubstr("did you mean {text}?")));
  EXPECT_THAT(complaint("user: \"{text}\"\nassistent: {text: \"{text}\", end: \"{eos}\"}\n"), AllOf(HasSubstr("mine.yaml:2"), HasSubstr("assistant")));
  EXPECT_THAT(complaint("user: \"{text}\"\nassistant: {text: \"{text}\"}\n"), AllOf(HasSubstr("mine.yaml"), HasSubstr("an answer without an end")));
  EXPECT_THAT(complaint("user: \"Q\"\nassistant: {text: \"{text}\", end: \"{eos}\"}\n"), HasSubstr("a question without {text}"));
  EXPECT_THAT(complaint("user: \"{text}\"\n"), HasSubstr("no answer"));
  EXPECT_THAT(complaint(""), HasSubstr("mine.yaml"));
  EXPECT_THROW(find_template((folder_ / "absent.yaml").string()), IoError);
}

}  // namespace
}  // namespace herd
