// Every template under every real tokenizer: which tokens are learnt, exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/formatter.h"
#include "data/template/encode.h"
#include "data/template/render.h"
#include "runtime/base/error.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"

namespace herd {
namespace {

using test::ByteTokenizer;

struct Case {
  const char* folder;
  bool any_text = true;      // its vocabulary can write any
  bool keeps_blanks = true;  // text comes back as it was
};

// eos by name for those that come without a configuration.
std::unique_ptr<Tokenizer> tokenizer_of(const Case& c) {
  auto tokenizer = load_tokenizer(test::assets() / c.folder);
  for (const auto* name : {"<|endoftext|>", "</s>", "<|end_of_text|>"})
    if (!tokenizer->eos) tokenizer->eos = tokenizer->token_to_id(name);
  return tokenizer;
}

// The third and the sixth answer begin with blanks.
std::vector<Record> records(const Case& c) {
  std::vector<Record> out{instruction_record("Add the numbers.", "1 2", "It is 3."), instruction_record("Name a colour.", "", c.any_text ? "Red\n- or blue\n\n\tthen green." : "Red\n- or blue\n\nthen green."),
                          instruction_record("Is it?", "", c.keeps_blanks ? "  spaced, twice  over" : "not spaced"), instruction_record("Digits 12", "34", "56 789"),
                          instruction_record("End with a colon:", "", "ok"), instruction_record("a", "", "\nA line end first")};
  Record several;
  several.system = "Be brief.";
  for (const auto* text : {"Hi", "Hello there.", "More?", "Yes: one\ntwo.", "Bye", "See you!"})
    several.turns.push_back({.role = several.turns.size() % 2 ? Role::kAssistant : Role::kUser, .text = text});
  out.push_back(several);
  if (!c.any_text) return out;
  out.push_back(instruction_record("把下面的句子翻译成英文。", "今天天气很好。", "The weather is nice today. 今天，天气：好！"));
  out.push_back(instruction_record("Write </s> and <|im_end|> and <eoa>.", "<s>", "Here: </s> <|im_end|> <|endoftext|> <eoa> <|eot_id|> done"));
  return out;
}

/// What the model is to write by the pieces: special tokens of the template are no text, a record's words all are.
std::string written_text(const std::vector<TextPiece>& pieces, std::int32_t turn, const Tokenizer& tokenizer) {
  std::string out;
  for (const auto& piece : pieces) {
    if (!piece.written || piece.turn != turn || piece.is_eos) continue;
    auto text = piece.text;
    if (piece.own_words)
      for (const auto* special : {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<eom>", "<eot>", "<eoc>", "<eoa>"}) {
        const auto id = tokenizer.token_to_id(special);
        if (!id || tokenizer.role(*id) != TokenRole::kSpecial) continue;
        if (const auto at = text.find(special); at != text.npos) text.erase(at, std::string_view(special).size());
      }
    out += text;
  }
  return out;
}

/// As a normalising vocabulary has it: full-width signs and blanks at the ends are gone.
std::string folded(std::string text) {
  for (const auto& [wide, narrow] : {std::pair{"，", ","}, {"：", ":"}, {"！", "!"}})
    for (std::size_t at = 0; (at = text.find(wide)) != text.npos;) text.replace(at, 3, narrow);
  while (text.ends_with(' ')) text.pop_back();
  while (text.starts_with(' ')) text.erase(0, 1);
  return text;
}

/// The text of ids in the middle of a text.
std::string text_within(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  auto before = tokenizer.encode("a", false);
  const auto begin = tokenizer.decode(before).size();
  before.insert(before.end(), ids.begin(), ids.end());
  return tokenizer.decode(before).substr(begin);
}

/// Whether the template's special tokens are the tokenizer's: else they are text, which merges with what stands beside it.
bool knows(const Tokenizer& tokenizer, const Template& t) {
  for (const auto& piece : render(t, records({})[6]))
    for (const auto* token : {"<|start_header_id|>", "<|im_start|>", "<eom>", "<eoa>", "<reserved_102>"})
      if (piece.own_words && piece.text.find(token) != piece.text.npos && !tokenizer.token_to_id(token)) return false;
  return true;
}

class EveryTokenizer : public testing::TestWithParam<Case> {};

TEST_P(EveryTokenizer, LearnsTheResponsesAndTheirEndsAndNothingElse) {
  HERD_NEED_ASSET(GetParam().folder);
  const auto tokenizer = tokenizer_of(GetParam());
  const PieceEncoder encode(*tokenizer);
  for (const auto& [name, t] : templates()) {
    auto o = test::options(1 << 20);
    o.template_name = name;
    const Formatter format(*tokenizer, o);
    int number = 0;
    for (const auto& record : records(GetParam())) {
      const auto where = name + ", record " + std::to_string(number++);
      const auto outcomes = format(record, std::vector<std::string>{"made.json"});
      const auto answers = static_cast<std::size_t>(rounds_of(record));
      ASSERT_EQ(outcomes.size(), t.one_answer ? answers : 1) << where;
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        const auto& example = outcomes[i].example;
        auto part = record;  // that this example shows
        if (t.one_answer) part.turns.resize(2 * (i + 1));
        const auto pieces = render(t, part);

        // Every run of learnt tokens is one response with its end.
        std::vector<std::string> found, expected;
        for (std::size_t at = 0; at < example.tokens.size(); ++at) {
          if (!example.supervised[at]) continue;
          auto end = at;
          while (end < example.tokens.size() && example.supervised[end]) ++end;
          found.push_back(text_within(*tokenizer, std::span(example.tokens).subspan(at, end - at)));
          at = end;
        }
        for (std::size_t turn = t.one_answer ? part.turns.size() - 1 : 1; turn < part.turns.size(); turn += 2)
          expected.push_back(written_text(pieces, static_cast<std::int32_t>(turn), *tokenizer));
        if (!GetParam().keeps_blanks)
          for (auto* texts : {&found, &expected})
            for (auto& text : *texts) text = folded(std::move(text));
        ASSERT_EQ(found, expected) << where;
        const auto last = example.tokens.back();
        ASSERT_TRUE(last == *tokenizer->eos || tokenizer->role(last) == TokenRole::kSpecial || !pieces.back().is_eos) << where;

        // Generation is given exactly the ids that stand before the last response in training.
        auto prompt = render_prompt(t, part);
        if (t.one_answer)
          for (auto& piece : prompt) piece.written = false;
        const auto prompt_ids = encode(prompt, t.special).ids;
        ASSERT_LT(prompt_ids.size(), example.tokens.size()) << where;
        ASSERT_TRUE(std::equal(prompt_ids.begin(), prompt_ids.end(), example.tokens.begin())) << where;
        ASSERT_EQ(example.supervised[prompt_ids.size() - 1], 0) << where;
        ASSERT_EQ(example.supervised[prompt_ids.size()], 1) << where;
      }
    }
  }
}

// What the whole text becomes in one piece is what transformers trains on: ours is the same, where no token reaches across an edge.
TEST_P(EveryTokenizer, AgreesWithTheWholeText) {
  HERD_NEED_ASSET(GetParam().folder);
  const auto tokenizer = tokenizer_of(GetParam());
  const PieceEncoder encode(*tokenizer);
  const auto eos = tokenizer->id_to_token(*tokenizer->eos);
  const auto marked = tokenizer->encode("a" + eos + "b", true);
  if (std::count(marked.begin(), marked.end(), *tokenizer->eos) != 1) GTEST_SKIP() << "does not read " << eos << " in a text";  // LLaMA's tokenizer.json of 2023
  if (marked.back() != tokenizer->encode("b", false).back()) GTEST_SKIP() << "puts special tokens behind a text";
  for (const auto& [name, t] : templates()) {
    if (t.one_answer || !knows(*tokenizer, t)) continue;
    int number = 0;
    for (const auto& record : records(GetParam())) {
      const bool begins_with_blank = number == 2 || number == 5;
      ++number;
      if (begins_with_blank || number > 7) continue;  // merges with the blank or line end before it; holds special tokens as text
      const auto pieces = render(t, record);
      const auto bos = tokenizer->bos ? tokenizer->id_to_token(*tokenizer->bos) : "";
      const auto joint = tokenizer->encode(text_of(pieces, eos, bos), t.special);
      ASSERT_EQ(encode(pieces, t.special).ids, joint) << name << ", record " << number - 1;
    }
  }
}

// A cut takes tokens from the end: what stays is marked as before.
TEST_P(EveryTokenizer, ACutMovesNoBoundary) {
  HERD_NEED_ASSET(GetParam().folder);
  const auto tokenizer = tokenizer_of(GetParam());
  for (const auto* name : {"alpaca", "vicuna_v1.1", "chatml"}) {
    auto o = test::options(1 << 20);
    o.template_name = name;
    o.unsupervised = Unsupervised::kSkip;
    const auto record = records(GetParam())[6];
    const auto whole = Formatter(*tokenizer, o)(record, {})[0].example;
    for (std::int64_t length = 2; length < whole.length(); length += 3) {
      o.max_tokens = length;
      const auto cut = Formatter(*tokenizer, o)(record, {})[0].example;
      ASSERT_EQ(cut.length(), length);
      ASSERT_TRUE(std::equal(cut.tokens.begin(), cut.tokens.end(), whole.tokens.begin()));
      ASSERT_TRUE(std::equal(cut.supervised.begin(), cut.supervised.end(), whole.supervised.begin()));
    }
  }
}

class LabelMasks : public testing::Test {
 protected:
  void SetUp() override {
    HERD_NEED_ASSET("goldens/label-masks/conversation.json");
    tokenizer = tokenizer_of({"tokenizers/llama"});
    const auto json = golden("conversation.json");
    for (const auto& turn : json.at("conversations"))
      record.turns.push_back({.role = turn.at("from") == "human" ? Role::kUser : Role::kAssistant, .text = turn.at("value")});
  }
  static nlohmann::json golden(const char* file) { return nlohmann::json::parse(std::ifstream(test::assets() / "goldens/label-masks" / file)); }
  Example ours(const char* name) const {
    auto o = test::options(1 << 20);
    o.template_name = name;
    return Formatter(*tokenizer, o)(record, {})[0].example;
  }
  /// The text of every run of learnt tokens.
  template <class Learnt>
  std::vector<std::string> runs(const std::vector<TokenId>& ids, const Learnt& learnt) const {
    std::vector<std::string> out;
    for (std::size_t at = 0, end = 0; at < ids.size(); at = end) {
      for (end = at; end < ids.size() && learnt(end) == learnt(at);) ++end;
      if (learnt(at)) out.push_back(tokenizer->decode(std::span(ids).subspan(at, end - at)));
    }
    return out;
  }

  std::unique_ptr<Tokenizer> tokenizer;
  Record record;
};

// LLaMA-2's chat as a training library stored it, id by id and label by label; it cut at 4,096 and filled up.
TEST_F(LabelMasks, OfLlama2ChatAreTheStoredOnes) {
  const auto stored = golden("conversation.tokenized_llama2chat.json");
  auto ids = stored.at("input_ids").get<std::vector<TokenId>>();
  auto labels = stored.at("labels").get<std::vector<TokenId>>();
  const auto begin = tokenizer->decode(ids).find("<<SYS>>\n") + 8, end = tokenizer->decode(ids).find("\n<</SYS>>");
  record.system = tokenizer->decode(ids).substr(begin, end - begin);
  const auto example = ours("llama-2-chat");
  while (ids.back() == 0) ids.pop_back();
  ASSERT_EQ(ids.back(), *tokenizer->bos);  // of a turn that does not come
  ids.pop_back();
  labels.resize(ids.size());
  ASSERT_EQ(example.tokens, ids);
  for (std::size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(example.supervised[i] ? example.tokens[i] : -100, labels[i]) << i;
}

// The same library's Vicuna doubles blanks and writes "</s>" out as text before the end: the text of what is learnt is ours all the same.
TEST_F(LabelMasks, OfVicunaCoverTheSameTexts) {
  const auto stored = golden("conversation.tokenized.json");
  const auto labels = stored.at("labels").get<std::vector<TokenId>>();
  auto theirs = runs(stored.at("input_ids").get<std::vector<TokenId>>(), [&](std::size_t i) { return labels[i] != -100; });
  for (auto& text : theirs) text.erase(text.find("</s>"));
  const auto example = ours("vicuna_v1.1");
  const auto mine = runs(example.tokens, [&](std::size_t i) { return example.supervised[i] == 1; });
  EXPECT_EQ(mine, theirs);
  for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_EQ(mine[i], record.turns[2 * i + 1].text);
}

INSTANTIATE_TEST_SUITE_P(Assets, EveryTokenizer,
                         testing::Values(Case{"tokenizers/llama"}, Case{"tokenizers/llama3-tiktoken"}, Case{"tokenizers/qwen2"}, Case{"tokenizers/qwen-tiktoken"},
                                         Case{"tokenizers/gpt2"}, Case{"tokenizers/chatglm", true, false}, Case{"tokenizers/chatglm2"}, Case{"tokenizers/baichuan2"},
                                         Case{"tokenizers/internlm"}, Case{"tokenizers/mistral-v1"}, Case{"tokenizers/mistral-v3"}, Case{"models/stories260k", true, false},
                                         Case{"models/tinystories-656k-f32", false}),
                         [](const auto& info) {
                           std::string name = std::filesystem::path(info.param.folder).filename();
                           for (auto& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace herd
