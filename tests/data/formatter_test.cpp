#include "data/formatter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "data/audit.h"
#include "data/dataset.h"
#include "data/examples.h"
#include "data/readers/reader.h"
#include "data/template/template.h"
#include "runtime/base/error.h"
#include "tests/data/toy_records.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/assets.h"
#include "tests/support/errors.h"
#include "tests/support/scratch.h"

namespace herd {
namespace {

using test::ByteTokenizer;
using test::kWithInput;
using test::kWithoutInput;
using test::line;
using test::message_of;
using test::options;
using test::records_of;
using test::Spaces;
using test::WordTokenizer;
using testing::AllOf;
using testing::HasSubstr;

TEST(Formatter, LabelsTheResponseAndTheEnd) {
  const auto out = format_records(records_of({instruction_record("Add.", "1 {2}", "3é")}), ByteTokenizer(), options());
  ASSERT_EQ(out.examples.size(), 1u);
  const auto& example = out.examples[0];
  const std::string text = std::string(kWithInput) + " 3é";
  std::vector<TokenId> ids{256};
  for (const unsigned char c : text) ids.push_back(c);
  ids.push_back(257);
  EXPECT_EQ(example.tokens, ids);
  std::vector<std::uint8_t> supervised(ids.size(), 0);
  std::fill(supervised.end() - 5, supervised.end(), 1);  // space, 3, two bytes of é, end
  EXPECT_EQ(example.supervised, supervised);
  EXPECT_EQ(example.supervised_tokens, 5);
}

TEST(Formatter, LabelsAllButTheFirstTokenByChoice) {
  auto all = options();
  all.train_on = TrainOn::kAll;
  const auto out = format_records(records_of({instruction_record("Add.", "", "3")}), ByteTokenizer(), all);
  const auto& example = out.examples.at(0);
  EXPECT_EQ(example.supervised[0], 0);
  EXPECT_EQ(std::count(example.supervised.begin(), example.supervised.end(), 1), example.length() - 1);
  EXPECT_EQ(example.supervised_tokens, example.length() - 1);
}

TEST(Formatter, TrainsOnTheIdsThatGenerationSees) {
  const WordTokenizer tokenizer;
  const auto records = records_of({instruction_record("Add.", "", "is three")});
  const auto example = format_records(records, tokenizer, options()).examples.at(0);
  const auto prompt = text_of(render_prompt(templates().at("alpaca"), records.records[0]), "");
  auto expected = PieceEncoder(tokenizer)(render_prompt(templates().at("alpaca"), records.records[0]), true).ids;
  EXPECT_EQ(expected, tokenizer.encode(prompt, true));
  const auto joint = tokenizer.encode(prompt + " is three", true);  // no piece crosses the boundary, so joint and apart agree
  expected.insert(expected.end(), joint.begin() + static_cast<std::ptrdiff_t>(expected.size()), joint.end());
  expected.push_back(*tokenizer.eos);
  EXPECT_EQ(example.tokens, expected);
  EXPECT_EQ(example.supervised_tokens, 3);  // " is", " three", end: no lone space
}

TEST(Formatter, TakesNoTokenAcrossTheBoundary) {
  const WordTokenizer tokenizer(Spaces::kTrail);  // the joint text has "Response: " as one piece, which generation never sees
  const auto records = records_of({instruction_record("Add.", "", "is three")});
  const auto example = format_records(records, tokenizer, options()).examples.at(0);
  const auto prompt = text_of(render_prompt(templates().at("alpaca"), records.records[0]), "");
  auto expected = tokenizer.encode(prompt, true);
  for (const auto* piece : {" ", "is ", "three", "</s>"}) expected.push_back(*tokenizer.token_to_id(piece));
  EXPECT_EQ(example.tokens, expected);
  EXPECT_EQ(example.supervised_tokens, 4);
}

/// The texts of the runs of learnt bytes, ends left out.
std::vector<std::string> learnt(const Example& example) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < example.tokens.size(); ++i) {
    if (!example.supervised[i]) continue;
    if (!example.supervised[i - 1]) out.emplace_back();
    if (example.tokens[i] < 256) out.back() += static_cast<char>(example.tokens[i]);
  }
  return out;
}

TEST(Formatter, LearnsTheTurnsThatAreAskedFor) {
  Record record;
  for (const auto* n : {"1", "2", "3"}) {
    record.turns.push_back({.role = Role::kUser, .text = std::string("Q") + n});
    record.turns.push_back({.role = Role::kAssistant, .text = std::string("A") + n});
  }
  record.turns[1].supervised = true;
  record.turns[3].supervised = false;
  auto o = options();
  o.template_name = "vicuna_v1.1";
  const auto by = [&](TrainOn train_on, const Record& r) {
    o.train_on = train_on;
    return learnt(format_records(records_of({r}), ByteTokenizer(), o).examples.at(0));
  };
  using testing::ElementsAre;
  EXPECT_THAT(by(TrainOn::kResponse, record), ElementsAre(" A1", " A3"));
  EXPECT_THAT(by(TrainOn::kLastResponse, record), ElementsAre(" A3"));
  EXPECT_THAT(by(TrainOn::kRecord, record), ElementsAre(" A1"));
  const auto everything = by(TrainOn::kAll, record);
  ASSERT_EQ(everything.size(), 1u);
  EXPECT_THAT(everything[0], AllOf(testing::StartsWith("A chat between"), testing::EndsWith("USER: Q1 ASSISTANT: A1USER: Q2 ASSISTANT: A2USER: Q3 ASSISTANT: A3")));

  record.turns[5].supervised = false;
  EXPECT_THAT(by(TrainOn::kResponse, record), ElementsAre(" A1"));
  EXPECT_THAT(message_of<DataError>([&] { by(TrainOn::kLastResponse, record); }), HasSubstr("no token to learn"));
  record.turns[1].supervised = std::nullopt;
  EXPECT_THAT(message_of<DataError>([&] { by(TrainOn::kRecord, record); }), HasSubstr("no turn marked as supervised"));
}

// ChatGLM-6B sees what stands before an answer both ways, so each answer has an example in which it is the last.
TEST(Formatter, AConversationBecomesAnExampleAnAnswer) {
  Record record;
  for (const auto* n : {"1", "2", "3"}) {
    record.turns.push_back({.role = Role::kUser, .text = std::string("Q") + n});
    record.turns.push_back({.role = Role::kAssistant, .text = std::string("A") + n});
  }
  record.turns[3].supervised = false;
  auto o = options();
  o.template_name = "chatglm";
  const auto all = format_records(records_of({record}), ByteTokenizer(), o);
  ASSERT_EQ(all.examples.size(), 2u);
  EXPECT_EQ(all.report.records, 1);
  EXPECT_THAT(learnt(all.examples[0]), testing::ElementsAre("A1"));
  EXPECT_THAT(learnt(all.examples[1]), testing::ElementsAre("A3"));
  o.train_on = TrainOn::kLastResponse;
  const auto last = format_records(records_of({record}), ByteTokenizer(), o).examples;
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].tokens, all.examples[1].tokens);
}

TEST(Formatter, CountsWhatItCuts) {
  const auto length = static_cast<std::int64_t>(std::string_view(kWithoutInput).size()) + 1;
  const auto records = records_of({instruction_record("Add.", "", "0123456789"), instruction_record("Add.", "", "3")});
  const auto out = format_records(records, ByteTokenizer(), options(length + 4));
  EXPECT_EQ(out.report.records, 2);
  EXPECT_EQ(out.report.truncated, 1);
  EXPECT_EQ(out.report.tokens_cut, 12 - 4);  // of space, ten digits and end, four fit
  EXPECT_EQ(out.report.longest, length + 12);
  EXPECT_EQ(out.examples[0].supervised_tokens, 4);
  EXPECT_EQ(out.examples[0].tokens.back(), '2');
  EXPECT_EQ(out.report.supervised_tokens, 4 + 3);
  EXPECT_EQ(out.report.tokens, length + 4 + length + 3);
  EXPECT_THAT(out.report.summary(), AllOf(HasSubstr("1 truncated"), HasSubstr("8 tokens cut")));
}

TEST(Formatter, OverlongRecordsAreSkippedOrRefusedByChoice) {
  const auto length = static_cast<std::int64_t>(std::string_view(kWithoutInput).size()) + 1;
  const auto records = records_of({instruction_record("Add.", "", "3"), instruction_record("Add.", "", "0123456789")});
  auto choice = options(length + 4);
  choice.overlong = Overlong::kSkip;
  const auto out = format_records(records, ByteTokenizer(), choice);
  EXPECT_EQ(out.report.skipped_overlong, 1);
  ASSERT_EQ(out.examples.size(), 1u);
  EXPECT_EQ(out.examples[0].source.record, 1u);
  choice.overlong = Overlong::kError;
  EXPECT_THAT(message_of<DataError>([&] { format_records(records, ByteTokenizer(), choice); }),
              AllOf(HasSubstr("made.json:2 (record 2)"), HasSubstr(std::to_string(length + 12) + " tokens")));
}

TEST(Formatter, NoTokenToLearnIsNeverSilent) {
  const auto length = static_cast<std::int64_t>(std::string_view(kWithoutInput).size()) + 1;
  for (const auto& [records, max_tokens] : {std::pair{records_of({instruction_record("Add.", "", "x"), instruction_record("Add.", "", "")}), length + 9},
                                            std::pair{records_of({instruction_record("", "", "x"), instruction_record("Add.", "", "y")}), length}}) {
    auto choice = options(max_tokens);
    EXPECT_THAT(message_of<DataError>([&] { format_records(records, ByteTokenizer(), choice); }),
                AllOf(HasSubstr("made.json:2 (record 2)"), HasSubstr("no token to learn")));
    choice.unsupervised = Unsupervised::kSkip;
    const auto out = format_records(records, ByteTokenizer(), choice);
    EXPECT_EQ(out.report.skipped_unsupervised, 1);
    EXPECT_EQ(out.report.examples, 1);
    EXPECT_THAT(out.report.summary(), HasSubstr("1 skipped without a token to learn"));
  }
}

// What the model reads while it generates must be what it read in training: over real records, the prompt's ids and the answer's, put
// together, are the ids of the whole text under the model's own tokenizer. The last one's pieces end with spaces, so the joint ids hold
// a ": " across the boundary; there the text alone must agree.
TEST(Formatter, RealTokenizersSeeOneText) {
  HERD_NEED_ASSET("data/instructions/alpaca_en_demo.json");
  const auto set = [](const char* name) { return (test::assets() / "data/instructions" / name).string(); };
  const auto records = read_records(std::vector{set("alpaca_en_demo.json"), set("alpaca_zh_demo.json")});
  const auto& alpaca = templates().at("alpaca");
  for (const auto* folder : {"tokenizers/llama", "tokenizers/gpt2", "tokenizers/qwen2", "models/stories260k", "models/tinystories-656k-f32"}) {
    const auto tokenizer = load_tokenizer(test::assets() / folder);
    const PieceEncoder encode(*tokenizer);
    for (std::size_t i = 0; i < records.records.size(); i += 5) {
      const auto& record = records.records[i];
      auto pieces = render(alpaca, record);
      pieces.pop_back();  // the end of sequence
      const auto ids = encode(pieces, true).ids;
      const auto joint = tokenizer->encode(text_of(pieces, ""), true);
      const auto where = folder + (" " + describe(record.source, records.files));
      ASSERT_EQ(tokenizer->decode(ids), tokenizer->decode(joint)) << where;
      const bool reaches_across = std::string_view(folder) == "models/tinystories-656k-f32";
      ASSERT_EQ(ids == joint, !reaches_across) << where;
    }
  }
}

TEST(Audit, MarksWhatIsLearnt) {
  const auto records = records_of({instruction_record("Add.", "", "is 3é")});
  const auto view = [](const Example& example) { return Examples(std::vector{example}); };
  const auto bytes = view(format_records(records, ByteTokenizer(), options()).examples.at(0));
  EXPECT_EQ(marked_text(bytes[0], ByteTokenizer(), false), "<s>" + std::string(kWithoutInput) + "⟦ is 3é</s>⟧");
  EXPECT_THAT(marked_text(bytes[0], ByteTokenizer(), true), testing::EndsWith("### Response:\033[1;32m is 3é</s>\033[0m"));
  const WordTokenizer tokenizer;
  const auto words = view(format_records(records, tokenizer, options()).examples.at(0));
  EXPECT_EQ(marked_text(words[0], tokenizer, false), std::string(kWithoutInput) + "⟦ is 3é</s>⟧");
}

// Hugging Face's slow LLaMA decodes "<s>Below" or "<s> Below" by what follows: the marks must not stumble over that.
TEST(Audit, MarksTheAnswerUnderRealTokenizers) {
  HERD_NEED_ASSET("tokenizers/llama");
  const auto records = records_of({instruction_record("Add.", "1", "Is 答 3é.\nDone")});
  for (const auto* folder : {"tokenizers/llama", "models/stories260k", "tokenizers/qwen2"}) {
    const auto tokenizer = load_tokenizer(test::assets() / folder);
    if (!tokenizer->eos) tokenizer->eos = tokenizer->token_to_id("<|endoftext|>");
    const Examples example(format_records(records, *tokenizer, options()).examples);
    EXPECT_THAT(marked_text(example[0], *tokenizer, false), HasSubstr("### Response:⟦ Is 答 3é.\nDone" + tokenizer->id_to_token(*tokenizer->eos) + "⟧")) << folder;
  }
}

TEST(Audit, HistogramCountsEveryExample) {
  std::vector<Example> examples(10);
  for (std::size_t i = 0; i < 10; ++i) {
    examples[i].tokens.resize(i < 6 ? 4 : i < 9 ? 5 : 16);
    examples[i].supervised.resize(examples[i].tokens.size());
  }
  EXPECT_EQ(length_histogram(examples, 4),
            "     1 – 4      ██████████████████████████████████████████████████ 6\n"
            "     5 – 8      █████████████████████████ 3\n"
            "     9 – 12     0\n"
            "    13 – 16     ████████ 1\n");
}

TEST(Audit, TellsCountsAndCuts) {
  const test::Scratch folder;
  std::ofstream(folder / "set.jsonl") << line("a", "b") + line("a", std::string(100, 'x')) + line("c", "d");
  auto choice = options(160);
  choice.sets = {(folder / "set.jsonl").string()};
  choice.packing = true;
  const auto text = audit(load_dataset(choice, ByteTokenizer()), ByteTokenizer(), choice, {.samples = 2, .color = false});
  EXPECT_THAT(text, AllOf(HasSubstr("3 records: 3 examples"), HasSubstr("1 truncated"), HasSubstr("packed: 3 rows of 160 tokens")));
  EXPECT_THAT(text, testing::ContainsRegex("set.jsonl:[123] .record [123].: [0-9]+ tokens, [0-9]+ supervised"));
}

}  // namespace
}  // namespace herd
