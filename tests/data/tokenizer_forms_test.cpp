// Forms of byte-level vocabularies without a tokenizer.json, what goes wrong in their files, and the parts that make encoding fast against
// slow ones that do the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "data/tokenizer/extend.h"
#include "data/tokenizer/merges.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/utf8.h"
#include "data/tokenizer/word_cache.h"
#include "data/tokenizer/word_scanner.h"
#include "runtime/base/error.h"
#include "tests/data/small_tokenizers.h"
#include "tests/support/errors.h"

namespace herd {
namespace {

using test::Json;
using test::message_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;

using Files = std::map<std::string, std::string>;

std::unique_ptr<Tokenizer> load(const Files& files) {
  test::Scratch folder;
  for (const auto& [name, bytes] : files) test::write_file(folder / name, bytes);
  return load_tokenizer(folder.path());
}

std::string complaint_of(const Files& files) {
  return message_of<DataError>([&] { load(files); });
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) out += at + i > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * i) & 63];
  }
  return out;
}

// 256 bytes, then what merges: "hi" 256, " hi" 257, "hihi" 258; "hii" 259 comes from no merge but hi + i.
std::string ranks() {
  std::string lines;
  int rank = 0;
  for (int byte = 0; byte < 256; ++byte) lines += base64(std::string(1, static_cast<char>(byte))) + " " + std::to_string(rank++) + "\n";
  for (const auto* token : {"hi", " hi", "hihi", "hii"}) lines += base64(token) + " " + std::to_string(rank++) + "\n";
  return lines;
}

const Json kNames = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"add_bos_token", true}, {"padding_side", "left"}};

TEST(Tiktoken, MergesWhatIsATokenLowestRankFirst) {
  const auto t = load({{"tokenizer.model", ranks()}, {"tokenizer_config.json", kNames.dump()}});
  EXPECT_THAT(t->encode("hi hi", false), ElementsAre(256, 257));
  EXPECT_THAT(t->encode("hihi", false), ElementsAre(258));
  EXPECT_THAT(t->encode("hiii", false), ElementsAre(259, 'i'));
  EXPECT_THAT(t->encode("</s>h"), ElementsAre(260, 261, 'h'));  // the configuration's tokens come behind the ranks
  EXPECT_THAT(t->encode("\u4F60", false), ElementsAre(0xE4, 0xBD, 0xA0));
  EXPECT_EQ(t->decode(Ids{257, 0xE4, 0xBD, 0xA0, 261}), " hi\u4F60");
  EXPECT_EQ(t->vocab_size(), 262);
  EXPECT_EQ(t->padding_side, PaddingSide::kLeft);
}

TEST(Tiktoken, FaultsAreNamedWithTheirLine) {
  const auto complain = [](const std::string& line) { return complaint_of({{"tokenizer.model", ranks() + line}}); };
  EXPECT_THAT(complain("aGk= x\n"), HasSubstr("tokenizer.model:261: the rank 'x'"));
  EXPECT_THAT(complain("aGk= -1\n"), HasSubstr("tokenizer.model:261: the rank '-1'"));
  EXPECT_THAT(complain("aGk= 99999999999\n"), HasSubstr("the rank '99999999999'"));
  EXPECT_THAT(complain("aGk= 300\n"), HasSubstr("tokenizer.model:261: a token that was there before"));
  EXPECT_THAT(complain("aG=k 300\n"), HasSubstr("the token 'aG=k'"));
  EXPECT_THAT(complain("aGk 300\n"), HasSubstr("the token 'aGk'"));
  EXPECT_THAT(complain("aGk=300\n"), HasSubstr("without a blank"));
  EXPECT_THAT(complaint_of({{"qwen.tiktoken", "aGk= 0\n"}}), HasSubstr("qwen.tiktoken: no token for the byte 0x00"));
}

const std::string kVocabulary = R"({"h": 0, "i": 1, "Ġ": 2, "hi": 3, "Ġhi": 4, "<|endoftext|>": 5})";
const std::string kMerges = "#version: 0.2\nh i\nĠ hi\n";

TEST(VocabularyAndMerges, AreReadAsGpt2sUnlessTheConfigurationSaysOther) {
  const auto t = load({{"vocab.json", kVocabulary}, {"merges.txt", kMerges}});
  EXPECT_THAT(t->encode("hi hi<|endoftext|>"), ElementsAre(3, 4, 5));
  EXPECT_EQ(t->eos, 5);
  const Json config = {{"tokenizer_class", "GPT2Tokenizer"}, {"add_bos_token", true}, {"add_prefix_space", true}};
  const auto framed = load({{"vocab.json", kVocabulary}, {"merges.txt", kMerges}, {"tokenizer_config.json", config.dump()}, {"added_tokens.json", R"({"<eom>": 9})"}});
  EXPECT_THAT(framed->encode("hi<eom>"), ElementsAre(5, 4, 9));  // the id it claims, though 6 to 8 are free
  EXPECT_EQ(framed->vocab_size(), 10);
  EXPECT_EQ(framed->role(7), TokenRole::kNone);
}

TEST(VocabularyAndMerges, FaultsAreNamedWithTheirLine) {
  const auto complain = [](const std::string& vocabulary, const std::string& merges) { return complaint_of({{"vocab.json", vocabulary}, {"merges.txt", merges}}); };
  EXPECT_THAT(complain(kVocabulary, "h i\nh z\n"), HasSubstr("merges.txt:2: 'h' + 'z', but 'z' is not in the vocabulary"));
  EXPECT_THAT(complain(kVocabulary, "i h\n"), HasSubstr("'ih' is not in the vocabulary"));
  EXPECT_THAT(complain(kVocabulary, "h i i\n"), HasSubstr("merges.txt:1: the merge 'h i i'"));
  EXPECT_THAT(complain(kVocabulary, "hi\n"), HasSubstr("merges.txt:1: the merge 'hi'"));
  EXPECT_THAT(complain("[1]", kMerges), HasSubstr("vocab.json: a JSON array; expected an object"));
  EXPECT_THAT(complain(R"({"h": 1e9})", kMerges), HasSubstr("token 'h' has the id"));
  EXPECT_THAT(complain("{", kMerges), HasSubstr("vocab.json: broken JSON"));
  EXPECT_THAT(complaint_of({{"vocab.json", kVocabulary}}), AllOf(HasSubstr("no tokenizer in this folder"), HasSubstr("vocab.json and merges.txt")));
}

TEST(Settings, PaddingSideAndOffsetAreChecked) {
  const auto complain = [](const Json& config) {
    return complaint_of({{"vocab.json", kVocabulary}, {"merges.txt", kMerges}, {"tokenizer_config.json", config.dump()}});
  };
  EXPECT_THAT(complain({{"padding_side", "middle"}}), HasSubstr("tokenizer_config.json: padding_side: 'middle'; expected left or right"));
  EXPECT_THAT(complain({{"num_image_tokens", -1}}), HasSubstr("num_image_tokens: -1; expected 0 or more"));
}

constexpr int kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

std::string piece(const std::string& text, int type) {
  return test::field(1, test::field(1, text) + test::field(2, -5.0F) + test::field(3, type));
}

TEST(Extension, AppendsWhatIsNewAndSaysWhatItWasMadeOf) {
  test::Scratch folder;
  test::write_file(folder / "tokenizer.model", test::sentencepiece_form());
  test::write_file(folder / "more.model", piece("</end>", kControl) + piece("ab", kNormal) + piece("aba", kNormal) + piece("▁b", kNormal) + piece("\u4F60", kNormal));
  const auto extended = extend_vocabulary(folder.path(), folder / "more.model");
  EXPECT_EQ(extended.old_pieces, 265);
  EXPECT_EQ(extended.old_tokens, 265);
  EXPECT_EQ(extended.unreached, 0);
  EXPECT_THAT(extended.pieces, ElementsAre("aba", "▁b", "\u4F60"));
  EXPECT_THAT(extended.old_ids, ElementsAre(Ids{262, 260}, Ids{259, 261}, Ids{3 + 0xE4, 3 + 0xBD, 3 + 0xA0}));
  std::filesystem::create_directory(folder / "extended");
  save_extended(extended, folder.path(), folder / "extended");
  const auto t = load_tokenizer(folder / "extended");
  EXPECT_EQ(t->vocab_size(), 268);
  EXPECT_EQ(make_extended_tokenizer(extended, folder.path())->fingerprint, t->fingerprint);
  EXPECT_THAT(t->encode("aba b\u4F60", false), ElementsAre(259, 265, 266, 267));  // new pieces have the best score: aba before ▁a
  test::write_file(folder / "nothing.model", piece("ab", kNormal));
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "nothing.model"); }),
              HasSubstr("no piece that the tokenizer of "));
  test::write_file(folder / "text.model", "aGk= 0\n");
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "text.model"); }), HasSubstr("text.model: not a SentencePiece model"));
  test::write_file(folder / "added_tokens.json", R"({"<pad>": 265})");
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "more.model"); }), HasSubstr("1 tokens added behind the 265 pieces"));
}

TEST(Extension, MovesWhatAClassPutsBehindThePieces) {
  test::Scratch folder;
  test::write_file(folder / "tokenizer.model", test::sentencepiece_form());
  test::write_file(folder / "tokenizer_config.json", R"({"tokenizer_class": "ChatGLMTokenizer", "name_or_path": "THUDM/chatglm2-6b"})");
  test::write_file(folder / "more.model", piece("aba", kNormal) + piece("bba", kNormal) + piece("x", kUnused));
  const auto extended = extend_vocabulary(folder.path(), folder / "more.model");
  EXPECT_EQ(extended.old_tokens, 265 + 5);
  EXPECT_THAT(extended.old_ids, ElementsAre(Ids{262, 260}, Ids{261, 261, 260}, Ids{265}, Ids{266}, Ids{267}, Ids{268}, Ids{269}));
  EXPECT_EQ(extended.unreached, 1);  // neither bb nor ba is a piece
  const auto t = make_extended_tokenizer(extended, folder.path());
  EXPECT_EQ(t->token_to_id("[MASK]"), 267);
  EXPECT_THAT(t->encode("aba"), ElementsAre(268, 270, 259, 265));         // [gMASK] sop ▁ aba
  test::write_file(folder / "added_tokens.json", R"({"[gMASK]": 266})");  // as ChatGLM3's files say
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "more.model"); }),
              HasSubstr("gives '[gMASK]' the id 266, behind"));
}

TEST(Extension, RefusesWhatItCannotPutBehindPieces) {
  test::Scratch folder;
  const auto complain = [&](const std::string& extension) {
    test::write_file(folder / "more.model", extension);
    return message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "more.model"); });
  };
  EXPECT_THAT(complain(piece("x", kNormal)), HasSubstr("no tokenizer.model; expected the tokenizer.model of a SentencePiece vocabulary"));
  test::write_file(folder / "tokenizer.model", "aGk= 0\n");
  EXPECT_THAT(complain(piece("x", kNormal)), HasSubstr("a tokenizer.model of tiktoken"));
  test::write_file(folder / "tokenizer.model", test::sentencepiece_form());
  EXPECT_THAT(complain(piece("ab", kUserDefined) + piece("xy", kUserDefined) + piece("x", kNormal)),
              AllOf(HasSubstr("more.model: 1 new user-defined piece like 'xy'"), HasSubstr("user_defined_symbols")));
  const auto blanks_as_they_are = test::field(3, test::field(5, 0)), blanks_behind = test::field(2, std::string("\xC0\x01\x01"));
  EXPECT_THAT(complain(piece("x", kNormal) + blanks_as_they_are), HasSubstr("pieces with blanks as they are; expected ▁ before words"));
  EXPECT_THAT(complain(piece("x", kNormal) + blanks_behind), HasSubstr("pieces with ▁ behind words"));
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder.path()); }),
              AllOf(HasSubstr(": a folder"), HasSubstr("name ")));
  EXPECT_THAT(message_of<DataError>([&] { extend_vocabulary(folder.path(), folder / "none"); }), HasSubstr("none: cannot be read"));
}

// --- against the slow way ------------------------------------------------------------------------------------------------

std::vector<std::string> random_texts(int count) {
  const std::vector<std::string> alphabet{" ", " ", " ", "  ", "\n", "\r\n", "\t", "\u00A0", "\u3000", "\u2028", "\u0085", "a", "b", "S", "t", "re", "LL", "d", "M", "ve", "l", "\u017F",
                                          "'", "'", "1", "2", "\u0663", "\u00BD", "\u2167", ".", ",", "!", "|", "(", ")", "[", "]", "\uFF0C", "\u3002", "\u0964", "-", "\u4F60",
                                          "\u597D", "\u0301", "\U0001F600", "\U00010400", "\U0001D7D8", "_"};
  std::mt19937 random(5);
  std::vector<std::string> texts(static_cast<std::size_t>(count));
  for (auto& text : texts)
    for (auto left = random() % 14 + 1; left > 0; --left) text += alphabet[random() % alphabet.size()];
  return texts;
}

class Scanner : public testing::TestWithParam<const char*> {};

TEST_P(Scanner, PartsTextAsItsPattern) {
  const Regex regex(GetParam(), "pattern");
  const auto scan = word_scanner(GetParam());
  ASSERT_NE(scan, nullptr);
  for (const auto& text : random_texts(20'000)) {
    std::vector<std::size_t> expected, found;  // the ends of the parts
    std::size_t done = 0;
    for (const auto& [start, stop] : regex.find_all(text)) {
      if (start != done) expected.push_back(start);
      expected.push_back(done = stop);
    }
    if (done != text.size()) expected.push_back(text.size());
    for (std::size_t at = 0; at < text.size();) found.push_back(at = scan(text, at));
    ASSERT_EQ(found, expected) << '"' << text << '"';
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, Scanner, testing::Values(kGpt2Pattern, kLlama3Pattern, kQwenPattern, kBloomPattern));

// The pair of the lowest rank, the leftmost of equals, joined, until there is none: as the algorithm is written down.
Ids merged_slowly(Ids ids, const MergeTable& table) {
  while (true) {
    std::size_t best = ids.size();
    std::uint32_t rank = ~0U;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      if (const auto* merge = table.find(ids[i], ids[i + 1]); merge && merge->rank < rank) {
        best = i;
        rank = merge->rank;
      }
    if (best == ids.size()) return ids;
    ids[best] = table.find(ids[best], ids[best + 1])->merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Merger, JoinsAsTheAlgorithmIsWrittenDown) {
  std::mt19937 random(9);
  MergeTable table(60);
  JoinFilter joins(60);
  std::vector<std::pair<TokenId, TokenId>> ends;  // first and last symbol of each token
  for (TokenId symbol = 0; symbol < 6; ++symbol) ends.emplace_back(symbol, symbol);
  for (TokenId merged = 6; merged < 60; ++merged) {
    const auto left = static_cast<TokenId>(random() % static_cast<unsigned>(merged)), right = static_cast<TokenId>(random() % static_cast<unsigned>(merged));
    table.set({left, right, merged, static_cast<std::uint32_t>(merged / 3)});  // three of each rank
    joins.set(ends[static_cast<std::size_t>(left)].second, ends[static_cast<std::size_t>(right)].first);
    ends.emplace_back(ends[static_cast<std::size_t>(left)].first, ends[static_cast<std::size_t>(right)].second);
  }
  Merger merger;
  for (int round = 0; round < 3000; ++round) {
    Ids symbols(random() % 70 + 1), whole, cut;
    for (auto& symbol : symbols) symbol = static_cast<TokenId>(random() % 6);
    const auto expected = merged_slowly(symbols, table);
    merger.run(table, symbols.data(), symbols.size(), whole);
    EXPECT_EQ(whole, expected);
    for (std::size_t at = 0, stop = 1; at < symbols.size(); at = stop++) {
      while (stop < symbols.size() && joins.may_join(symbols[stop - 1], symbols[stop])) ++stop;
      merger.run(table, symbols.data() + at, stop - at, cut);
    }
    EXPECT_EQ(cut, expected);
  }
}

TEST(WordCache, AnswersOnlyWhatItWasTold) {
  WordCache cache;
  std::mt19937 random(4);
  std::map<std::string, Ids> told;
  int found = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string word(random() % 3 == 0 ? random() % 31 + 1 : random() % 4 + 1, '\0');
    for (auto& c : word) c = static_cast<char>(random() % 7);  // zeros too
    const auto key = cache.key(word);
    Ids ids;
    if (cache.find(key, ids)) {
      ++found;
      ASSERT_EQ(ids, told[word]);
      continue;
    }
    for (auto count = random() % 8; count > 0; --count) ids.push_back(static_cast<TokenId>(random()));
    told[word] = ids;
    cache.put(key, ids.data(), ids.size());
  }
  EXPECT_GT(found, 1000);
  Ids many(WordCache::kIds + 1, 1), none;
  cache.put(cache.key("many"), many.data(), many.size());
  EXPECT_FALSE(cache.find(cache.key("many"), none));
}

}  // namespace
}  // namespace herd
