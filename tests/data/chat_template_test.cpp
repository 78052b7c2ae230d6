#include "data/template/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/formatter.h"
#include "data/template/encode.h"
#include "runtime/base/error.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Words = std::pair<std::string, bool>;

constexpr const char* kChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

ChatTokens tokens() { return {.bos = "<s>", .eos = "</s>", .specials = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"}}; }

std::shared_ptr<const Template> chat(const std::string& source) { return chat_template_of(source, tokens()); }

Record conversation(std::initializer_list<Turn> turns, std::string system = "") { return {.system = std::move(system), .turns = turns, .source = {0, 7, 9}}; }

/// Text by text, with what the model writes in brackets.
std::string shown(const std::vector<TextPiece>& pieces) {
  std::string out;
  bool open = false;
  for (const auto& piece : pieces) {
    if (piece.written != open) out += open ? "]" : "[";
    open = piece.written;
    out += piece.is_eos ? "EOS" : piece.text;
  }
  return out + (open ? "]" : "");
}

std::vector<Words> words(const std::vector<TextPiece>& pieces) {
  std::vector<Words> out;
  for (const auto& piece : pieces) {
    if (!out.empty() && out.back().second == piece.own_words) out.back().first += piece.text;
    else out.emplace_back(piece.text, piece.own_words);
  }
  return out;
}

std::string complaint(const std::string& source, const Record& record) {
  return message_of<DataError>([&] { render(*chat(source), record); });
}

const Record kTwo = conversation({{Role::kUser, "q1"}, {Role::kAssistant, "a1"}, {Role::kUser, "q2", "with"}, {Role::kAssistant, "a2"}}, "s");

TEST(ChatTemplate, TheModelWritesAnswersAndWhatEndsThem) {
  EXPECT_EQ(shown(render(*chat(kChatMl), kTwo)),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n[a1<|im_end|>]\n"
            "<|im_start|>user\nq2\nwith<|im_end|>\n<|im_start|>assistant\n[a2<|im_end|>]\n");
  EXPECT_EQ(shown(render_prompt(*chat(kChatMl), kTwo)),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n[a1<|im_end|>]\n"
            "<|im_start|>user\nq2\nwith<|im_end|>\n<|im_start|>assistant\n");
  const auto frame = answer_frame(*chat(kChatMl), 1, false);
  EXPECT_EQ(frame.answer("a2"), "a2");
  EXPECT_THAT(frame.ends, ElementsAre("<|im_end|>"));
}

TEST(ChatTemplate, ARecordsWordsAreNoSpecialTokens) {
  const auto pieces = render(*chat(kChatMl), conversation({{Role::kUser, "<|im_end|>\ue000"}, {Role::kAssistant, "\ue001</s>"}}));
  EXPECT_THAT(words(pieces), ElementsAre(Words("<|im_start|>user\n", true), Words("<|im_end|>\ue000", false), Words("<|im_end|>\n<|im_start|>assistant\n", true),
                                         Words("\ue001</s>", false), Words("<|im_end|>\n", true)));
}

TEST(ChatTemplate, WhatStandsBetweenPromptAndAnswerIsWritten) {
  const auto t = chat("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content | trim }} [/INST]{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}");
  EXPECT_EQ(shown(render(*t, conversation({{Role::kUser, " q\n"}, {Role::kAssistant, "\na "}, {Role::kUser, "r"}, {Role::kAssistant, "b"}}))),
            "<s>[INST] q [/INST][ a </s>][INST] r [/INST][ b </s>]");
  EXPECT_FALSE(t->special);
  EXPECT_FALSE(chat(kChatMl)->special);
  EXPECT_EQ(answer_frame(*t, 1, false).answer(" a "), "a");
}

TEST(ChatTemplate, AnAnswerWithoutAnEndGetsOne) {
  const auto t = chat("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}");
  EXPECT_EQ(shown(render(*t, conversation({{Role::kUser, "q"}, {Role::kAssistant, "a"}, {Role::kUser, "r"}, {Role::kAssistant, "b"}}))),
            "user: q\nassistant: [a]\nuser: r\nassistant: [b\nEOS]");
}

TEST(ChatTemplate, CallsAndThoughts) {
  const auto t = chat(
      "{% for m in messages %}<|im_start|>{{ m.role }}{% if m.tool_calls %}|{{ m.content }}{% for c in m.tool_calls %}|{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}"
      "{% else %}|{{ m.name }}{{ m.tool_call_id }}{{ '(' + m.reasoning_content + ')' if m.reasoning_content }}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant|{% endif %}");
  const auto record = conversation({{Role::kUser, "q"}, {Role::kThought, "hm"}, {Role::kCall, R"([{"id": "1", "function": {"name": "f", "arguments": "{\"x\": \"a\\\"b\", \"n\": 2}"}}])"},
                                    {Role::kTool, "42"}, {Role::kThought, "so"}, {Role::kAssistant, "a"}, {Role::kCall, "search(x)"}});
  const auto pieces = render(*t, record);
  EXPECT_EQ(shown(pieces), "<|im_start|>user|q<|im_end|><|im_start|>assistant|[hm|f{\"x\": \"a\\\"b\", \"n\": 2}<|im_end|>]<|im_start|>tool|f142<|im_end|>"
                           "<|im_start|>assistant|[(so)a<|im_end|>]<|im_start|>assistant|[search(x)<|im_end|>]");
  std::map<std::int32_t, std::string> by_turn;
  for (const auto& piece : pieces)
    if (piece.written) by_turn[piece.turn] += piece.text;
  EXPECT_EQ(by_turn[1] + "/" + by_turn[2] + "/" + by_turn[4] + "/" + by_turn[5], "hm/|f{\"x\": \"a\\\"b\", \"n\": 2}<|im_end|>/(so/)a<|im_end|>");
}

TEST(ChatTemplate, NamesTheRecordThatItCannotPutExactly) {
  EXPECT_THAT(complaint("{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}", kTwo), AllOf(HasSubstr("record 7 (line 9)"), HasSubstr("looks into")));
  EXPECT_THAT(complaint("{% for m in messages if m.role != 'system' %}{{ m.content }}<|im_end|>{% endfor %}", kTwo), AllOf(HasSubstr("record 7"), HasSubstr("leaves out the text 's'")));
  EXPECT_THAT(complaint("{{ raise_exception('no system role') if messages[0].role == 'system' }}{{ messages[0].content }}", kTwo), AllOf(HasSubstr("record 7"), HasSubstr("no system role")));
  EXPECT_THAT(message_of<DataError>([] { render_prompt(*chat("{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"), kTwo); }),
              AllOf(HasSubstr("record 7"), HasSubstr("add_generation_prompt")));
  EXPECT_THAT(message_of<DataError>([] { chat("a\n{% block x %}"); }), AllOf(HasSubstr("line 2"), HasSubstr("{% block %}")));
}

TEST(ChatTemplate, FormatsAndPromptsAlike) {
  const test::ByteTokenizer tokenizer;
  const auto t = chat_template_of("{{ bos_token }}{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %};{% endfor %}"
                                  "{% if add_generation_prompt %}assistant:{% endif %}", chat_tokens(tokenizer));
  const auto record = conversation({{Role::kUser, "q"}, {Role::kAssistant, "abc"}});
  const auto outcome = Formatter(tokenizer, test::options(), t)(record, std::vector<std::string>{"made.json"}).at(0);
  const auto prompt = PieceEncoder(tokenizer)(render_prompt(*t, record), t->special).ids;
  const auto& example = outcome.example;
  ASSERT_GT(example.tokens.size(), prompt.size());
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), example.tokens.begin()));
  EXPECT_EQ(std::find(example.supervised.begin(), example.supervised.end(), 1) - example.supervised.begin(), static_cast<std::ptrdiff_t>(prompt.size()));
  EXPECT_EQ(example.supervised_tokens, 3 + 4);  // "abc" and "</s>", which this toy spells
}

class Folder : public testing::Test {
 protected:
  void write(const char* name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  test::Scratch folder_;
};

TEST_F(Folder, WhereTheTemplateStands) {
  const auto& folder = folder_.path();
  EXPECT_THAT(message_of<DataError>([&] { read_chat_template(folder); }), HasSubstr("no chat template"));
  write("chat_template.json", R"({"chat_template": "third"})");
  EXPECT_EQ(read_chat_template(folder), "third");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})");
  EXPECT_EQ(read_chat_template(folder), "d");
  EXPECT_EQ(read_chat_template(folder, true), "t");
  write("chat_template.jinja", "first");
  EXPECT_EQ(read_chat_template(folder), "first");
}

TEST_F(Folder, NamesWhatIsWrong) {
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "d"}]})");
  EXPECT_THAT(message_of<DataError>([&] { read_chat_template(folder_.path()); }), AllOf(HasSubstr("chat_template"), HasSubstr("templates called rag")));
  write("tokenizer_config.json", R"({"chat_template": 3})");
  EXPECT_THROW(read_chat_template(folder_.path()), DataError);
}

// Qwen2.5's own template, and the one of configs/templates.
class Qwen : public testing::Test {
 protected:
  void SetUp() override {
    HERD_NEED_ASSET("tokenizers/qwen2/tokenizer_config.json");
    const auto folder = test::assets() / "tokenizers/qwen2";
    tokenizer = load_tokenizer(folder);
    imported = tokenizer_template(folder, *tokenizer);
  }
  std::unique_ptr<Tokenizer> tokenizer;
  std::shared_ptr<const Template> imported;
};

TEST_F(Qwen, WritesWhatOursWrites) {
  const auto& ours = templates().at("qwen");
  const std::string call = R"({"name": "now", "arguments": {"zone": "Asia/Tōkyō", "n": 1}})";
  for (const auto& record : {kTwo, conversation({{Role::kUser, "q <|im_end|>"}, {Role::kAssistant, "  a\n"}}),
                             conversation({{Role::kUser, "q"}, {Role::kCall, call}, {Role::kTool, "12:00"}, {Role::kAssistant, "noon"}}, "s")}) {
    EXPECT_EQ(text_of(render(*imported, record), ""), text_of(render(ours, record), "") + "\n");  // ours parts turns, and writes nothing behind the last
    EXPECT_EQ(shown(render(*imported, record)), shown(render(ours, record)) + "\n");
    EXPECT_EQ(shown(render_prompt(*imported, record)), shown(render_prompt(ours, record)));
    const std::vector<std::string> files{"made.json"};
    auto theirs = Formatter(*tokenizer, test::options(), imported)(record, files).at(0).example;
    const auto mine = Formatter(*tokenizer, test::options(), std::shared_ptr<const Template>(&ours, [](const Template*) {}))(record, files).at(0).example;
    theirs.tokens.pop_back();
    theirs.supervised.pop_back();
    EXPECT_EQ(theirs.tokens, mine.tokens);
    EXPECT_EQ(theirs.supervised, mine.supervised);
  }
  EXPECT_THAT(answer_frame(*imported, 1, false).ends, testing::IsEmpty());  // Qwen's eos is what ends its turns
}

// Where they differ: answers of several tools share a turn there.
TEST_F(Qwen, PutsAnswersOfToolsTogether) {
  const auto record = conversation({{Role::kUser, "q"}, {Role::kCall, R"([{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}])"}, {Role::kTool, "1"}, {Role::kTool, "2"},
                                    {Role::kAssistant, "a"}});
  EXPECT_THAT(text_of(render(*imported, record), ""),
              HasSubstr("<|im_start|>assistant\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call><|im_end|>\n"
                        "<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n<|im_start|>assistant\na<|im_end|>"));
}

}  // namespace
}  // namespace herd
