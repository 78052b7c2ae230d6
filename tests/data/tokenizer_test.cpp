// Tokenizers over vocabularies small enough to work every expectation out by hand. Parity with Hugging Face: tokenizer_parity_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/parallel_for.h"
#include "tests/data/small_tokenizers.h"
#include "tests/support/errors.h"

namespace herd {
namespace {

using test::Json;
using test::message_of;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;

struct Loaded {
  explicit Loaded(const Json& json, const Json& config = nullptr) {
    test::write_file(folder / "tokenizer.json", json.dump());
    if (!config.is_null()) test::write_file(folder / "tokenizer_config.json", config.dump());
    tokenizer = load_tokenizer(folder.path());
  }
  const Tokenizer* operator->() const { return tokenizer.get(); }
  const Tokenizer& operator*() const { return *tokenizer; }

  test::Scratch folder;
  std::unique_ptr<Tokenizer> tokenizer;
};

std::string stream(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const auto id : ids) {
    const auto part = decoder.push(id);
    EXPECT_FALSE(invalid_utf8(part));
    text += part;
  }
  return text + decoder.finish();
}

TEST(LlamaForm, MergesLowestRankFirst) {
  const Loaded t(test::llama_form());
  EXPECT_THAT(t->encode("ab"), ElementsAre(1, 264));              // ▁ a b → ▁ ab (rank 0) → ▁ab (rank 2)
  EXPECT_THAT(t->encode("ab", false), ElementsAre(264));
  EXPECT_THAT(t->encode("a ab", false), ElementsAre(263, 264));   // ▁a (rank 1), ▁ab
  EXPECT_THAT(t->encode("aab", false), ElementsAre(263, 262));    // ab first, then ▁a
  EXPECT_THAT(t->encode("", false), ElementsAre());
  EXPECT_THAT(t->encode(""), ElementsAre(1));
}

TEST(LlamaForm, FallsBackToBytesAndBack) {
  const Loaded t(test::llama_form());
  const Ids ids = t->encode("a你", false);
  EXPECT_THAT(ids, ElementsAre(263, 3 + 0xE4, 3 + 0xBD, 3 + 0xA0));
  EXPECT_EQ(t->decode(ids), "a你");
  EXPECT_EQ(t->decode(Ids{1, 264, 2}, false), "<s> ab</s>");
  EXPECT_EQ(t->decode(Ids{1, 264, 2}, true), "ab");
  EXPECT_EQ(t->decode(Ids{264, 3 + 0xE4, 3 + 0xBD, 264}), "ab\uFFFD\uFFFD ab");  // one mark for each byte of a broken run
  EXPECT_EQ(t->decode(Ids{264, 70000}), "ab");                                    // past the vocabulary: nothing
  EXPECT_THROW(t->decode(Ids{264, -100}), DataError);
}

TEST(LlamaForm, WithoutByteTokensTheUnknownTokenIsFused) {
  auto json = test::llama_form();
  for (int byte = 0; byte < 256; ++byte) json["model"]["vocab"].erase(fmt::format("<0x{:02X}>", byte));
  EXPECT_THAT(Loaded(json)->encode("你好a", false), ElementsAre(259, 0, 260));
  json["model"]["fuse_unk"] = false;
  EXPECT_THAT(Loaded(json)->encode("你好a", false), ElementsAre(259, 0, 0, 260));
}

TEST(LlamaForm, ConfigurationRulesBosAndEos) {
  const Json config = {{"tokenizer_class", "LlamaTokenizerFast"}, {"add_bos_token", false}, {"add_eos_token", true}, {"pad_token", "<pad>"}};
  const Loaded t(test::llama_form(), config);
  EXPECT_THAT(t->encode("ab"), ElementsAre(264, 2));
  EXPECT_EQ(t->bos, 1);
  EXPECT_EQ(t->eos, 2);
  EXPECT_EQ(t->unk, 0);
  EXPECT_EQ(t->pad, 265);  // a special token of the configuration that the vocabulary lacks comes behind it
  EXPECT_EQ(t->vocab_size(), 266);
  EXPECT_EQ(t->role(265), TokenRole::kSpecial);
  EXPECT_EQ(t->role(3), TokenRole::kByte);
  EXPECT_EQ(t->role(262), TokenRole::kText);
  EXPECT_EQ(t->role(266), TokenRole::kNone);
}

TEST(Gpt2Form, SplitsAndMergesBytes) {
  const Loaded t(test::gpt2_form());
  EXPECT_THAT(t->encode("hi hi\nihi"), ElementsAre(3, 4, 5, 1, 3));
  EXPECT_THAT(t->encode("你"), ElementsAre(7, 8, 9));
  EXPECT_THAT(t->encode("hi<end> hi"), ElementsAre(3, 10, 4));
  EXPECT_EQ(t->decode(Ids{3, 10, 4}), "hi hi");
  EXPECT_EQ(t->decode(Ids{3, 10, 4}, false), "hi<end> hi");
  EXPECT_EQ(t->decode(Ids{7, 8, 3}), "\uFFFDhi");  // a character cut short: one mark
  EXPECT_EQ(t->token_to_id("Ġhi"), 4);
  EXPECT_EQ(t->token_to_id("none"), std::nullopt);
  EXPECT_EQ(t->id_to_token(10), "<end>");
  EXPECT_THROW(t->id_to_token(11), DataError);
}

TEST(Gpt2Form, WholeWordsComeBeforeMergesWhereAsked) {
  auto json = test::gpt2_form();
  json["model"]["ignore_merges"] = true;
  EXPECT_THAT(Loaded(json)->encode("ihi"), ElementsAre(6));
}

TEST(Gpt2Form, BytesAloneNeedNoMerges) {
  auto json = test::gpt2_form();
  json["model"]["merges"] = Json::array();
  EXPECT_THAT(Loaded(json)->encode("hi hi"), ElementsAre(0, 1, 2, 0, 1));
}

TEST(Gpt2Form, AddedTokensEatBlanksAndRespectWords) {
  auto json = test::gpt2_form();
  json["added_tokens"].push_back({{"id", 11}, {"content", "<l>"}, {"lstrip", true}, {"rstrip", true}});
  json["added_tokens"].push_back({{"id", 12}, {"content", "h"}, {"single_word", true}, {"normalized", false}});
  const Loaded t(json);
  EXPECT_THAT(t->encode("hi  <l>\n hi"), ElementsAre(3, 11, 3));
  EXPECT_THAT(t->encode("h hi"), ElementsAre(0, 4));  // "h" has an id of its own already: the added token takes that
}

TEST(SentencePieceForm, AgreesWithTheSameVocabularyAsJson) {
  test::Scratch folder;
  test::write_file(folder / "tokenizer.model", test::sentencepiece_form());
  const auto config = [](bool legacy) { return Json{{"tokenizer_class", "LlamaTokenizer"}, {"legacy", legacy}}.dump(); };
  test::write_file(folder / "tokenizer_config.json", config(true));
  const auto legacy = load_tokenizer(folder.path());
  const Loaded json(test::llama_form());
  for (const std::string text : {"ab", "a ab", "aab", "a你", "", "  b", "b\nab "}) {
    const auto ids = legacy->encode(text);
    EXPECT_EQ(ids, json->encode(text)) << text;
    EXPECT_EQ(legacy->decode(ids), text == "  b" ? " b" : text);  // LlamaTokenizer takes one blank, SentencePiece another
    EXPECT_EQ(stream(*legacy, ids), legacy->decode(ids));
  }
  EXPECT_EQ(legacy->vocab_size(), 265);
  EXPECT_THAT(legacy->encode("a</s>ab", false), ElementsAre(263, 2, 264));  // the old behaviour: a blank after each special token
  test::write_file(folder / "tokenizer_config.json", config(false));
  const auto newer = load_tokenizer(folder.path());
  EXPECT_THAT(newer->encode("a</s>ab", false), ElementsAre(263, 2, 262));
  EXPECT_NE(newer->fingerprint, legacy->fingerprint);
}

TEST(StreamDecoder, ReleasesOnlyWhatCannotChange) {
  const Loaded bytes(test::gpt2_form());
  StreamDecoder decoder(*bytes);
  EXPECT_EQ(decoder.push(3), "hi");
  EXPECT_EQ(decoder.push(7), "");
  EXPECT_EQ(decoder.push(8), "");
  EXPECT_EQ(decoder.push(9), "你");
  EXPECT_EQ(decoder.push(10), "");  // special
  EXPECT_EQ(decoder.push(4), " hi");
  EXPECT_EQ(decoder.push(7), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");

  const Loaded pieces(test::llama_form());
  for (const Ids& ids : {Ids{259, 259, 264, 263}, Ids{1, 3 + 0xE4, 2, 3 + 0xBD, 70000, 3 + 0xA0, 264}, Ids{3 + 0xE4, 263, 3 + 0xFF}, Ids{}})
    EXPECT_EQ(stream(*pieces, ids), pieces->decode(ids));
}

TEST(Tokenizer, IsSharedByThreads) {
  const Loaded t(test::llama_form());
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 1000; ++i) texts.push_back(std::string(i % 17, 'a') + " b");
  std::vector<Ids> one_by_one, together(texts.size());
  for (const auto& text : texts) one_by_one.push_back(t->encode(text));
  parallel_for(1000, 5, [&](std::int64_t i) { together[static_cast<std::size_t>(i)] = t->encode(texts[static_cast<std::size_t>(i)]); });
  EXPECT_EQ(together, one_by_one);
}

TEST(Utf8, FindsAndReplacesAsPythonDoes) {
  EXPECT_EQ(invalid_utf8("aé你😀"), std::nullopt);
  EXPECT_EQ(invalid_utf8("你\xE4\xBD"), 3U);
  // Expectations: bytes.decode('utf-8', errors='replace') of Python 3.
  EXPECT_EQ(replace_invalid_utf8("a\xE4\xBD z"), "a\uFFFD z");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xFE"), "\uFFFD\uFFFD\uFFFD");  // an overlong form
  EXPECT_EQ(replace_invalid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(Fingerprint, FollowsWhatDecidesTheIds) {
  const Loaded plain(test::llama_form()), same(test::llama_form(), Json{{"model_max_length", 7}}), more(test::llama_form(), Json{{"pad_token", "<pad>"}});
  auto json = test::llama_form();
  json["model"]["merges"] = {"▁ a", "a b", "▁ ab"};
  EXPECT_EQ(plain->fingerprint, same->fingerprint);
  EXPECT_NE(plain->fingerprint, more->fingerprint);
  EXPECT_NE(plain->fingerprint, Loaded(json)->fingerprint);
}

// --- broken files -----------------------------------------------------------------------------------------------------

std::string complaint_of(const std::string& bytes, const char* file = "tokenizer.json") {
  test::Scratch folder;
  test::write_file(folder / file, bytes);
  const auto complaint = message_of<DataError>([&] { load_tokenizer(folder.path()); });
  EXPECT_THAT(complaint, HasSubstr((folder / file).string()));
  return complaint;
}

std::string complaint_at(const char* pointer, const Json& value) {
  auto json = test::llama_form();
  json[Json::json_pointer(pointer)] = value;
  return complaint_of(json.dump());
}

TEST(BrokenTokenizer, EachFaultIsNamedWithItsPlace) {
  const auto whole = test::llama_form().dump();
  EXPECT_THAT(complaint_of(whole.substr(0, whole.size() / 2)), HasSubstr("broken JSON at byte"));
  EXPECT_THAT(complaint_of("{}"), HasSubstr("no key 'model'"));
  EXPECT_THAT(complaint_of(R"({"model": {"type": "BPE", "merges": []}})"), HasSubstr("model: no key 'vocab'"));
  EXPECT_THAT(complaint_at("/model/type", "WordPiece"), AllOf(HasSubstr("'WordPiece' is not supported"), HasSubstr("expected BPE")));
  EXPECT_THAT(complaint_at("/model/vocab/a", -3), HasSubstr("token 'a' has the id -3"));
  EXPECT_THAT(complaint_at("/model/merges/1", "a  b"), HasSubstr("model.merges[1]: the merge 'a  b'"));
  EXPECT_THAT(complaint_at("/model/merges/1", "a z"), HasSubstr("model.merges[1]: 'a' + 'z', but 'z' is not in the vocabulary"));
  EXPECT_THAT(complaint_at("/model/merges/2", "b a"), HasSubstr("'ba' is not in the vocabulary"));
  EXPECT_THAT(complaint_at("/model/merges/0", 5), HasSubstr("model.merges[0]: the merge 5"));
  EXPECT_THAT(complaint_at("/model/unk_token", "<none>"), HasSubstr("'<none>' is not in the vocabulary"));
  EXPECT_THAT(complaint_at("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(complaint_at("/normalizer/normalizers/0/type", "Nmt"), AllOf(HasSubstr("normalizer.normalizers[0]"), HasSubstr("NFKC")));
  EXPECT_THAT(complaint_at("/pre_tokenizer", {{"type", "Whitespace"}}), AllOf(HasSubstr("'Whitespace' is not supported"), HasSubstr("ByteLevel")));
  EXPECT_THAT(complaint_at("/pre_tokenizer", {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "(a"}}}}), HasSubstr("pattern.Regex: the pattern '(a'"));
  EXPECT_THAT(complaint_at("/decoder/decoders/1/type", "CTC"), HasSubstr("decoder.decoders[1]"));
  EXPECT_THAT(complaint_at("/post_processor/type", "BertProcessing"), HasSubstr("post_processor"));
  EXPECT_THAT(complaint_of("\nnot a model", "tokenizer.model"), HasSubstr("not a SentencePiece model"));
}

TEST(BrokenTokenizer, MissingFolderSaysWhatWasLookedFor) {
  test::Scratch folder;
  EXPECT_THAT(message_of<DataError>([&] { load_tokenizer(folder / "none"); }),
              AllOf(HasSubstr("none"), HasSubstr("tokenizer.json"), HasSubstr("tokenizer.model")));
}

TEST(BrokenText, IsRefusedWithItsOffset) {
  const Loaded t(test::gpt2_form());
  EXPECT_THAT(message_of<DataError>([&] { t->encode("hi \xE4\xBD"); }), HasSubstr("byte 0xE4 at offset 3"));
}

}  // namespace
}  // namespace herd
