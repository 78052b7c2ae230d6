// From tokens to the text that is shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/stop.h"
#include "infer/text_stream.h"
#include "runtime/base/error.h"
#include "tests/data/small_tokenizers.h"
#include "tests/data/toy_tokenizers.h"
#include "tests/support/scratch.h"

namespace herd::test {
namespace {
/// The text of `pieces` as it would be shown, with `|` between what came in turn.
std::string shown(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(std::move(stops));
  std::string out;
  for (const auto& piece : pieces) out += matcher.push(piece) + "|";
  return out + matcher.finish() + (matcher.stopped() ? "!" : "");
}

TEST(StopMatcher, HoldsBackWhatMayBeginAStop) {
  EXPECT_EQ(shown({}, {"ab", "c"}), "ab|c|");
  EXPECT_EQ(shown({"END"}, {"abE", "N", "Dxyz", "more"}), "ab||||!");
  EXPECT_EQ(shown({"END"}, {"abE", "N", "x", "EN"}), "ab||ENx||EN");
  EXPECT_EQ(shown({"END"}, {"aENEND"}), "aEN|!");
  EXPECT_EQ(shown({"aab"}, {"aa", "a", "b"}), "|a||!");            // the beginning moves along
  EXPECT_EQ(shown({"abcd", "bc"}, {"abcd"}), "a|!");              // complete first, however the text is cut
  EXPECT_EQ(shown({"abcd", "bc"}, {"a", "b", "c", "d"}), "||a||!");
  EXPECT_EQ(shown({"bc", "abc"}, {"xabc"}), "x|!");
  EXPECT_EQ(shown({"。"}, {"好", "的。"}), "好|的|!");
  EXPECT_THROW(StopMatcher({""}), ConfigError);
}

// Whatever the pieces, the text and the verdict are those of a search over the whole text.
TEST(StopMatcher, DoesNotDependOnThePieces) {
  const std::string text = "aababbabaabbbabab";
  for (const std::string stop : {"abb", "bab", "aabb", "zz"}) {
    const auto at = text.find(stop);
    const auto expected = at == text.npos ? text : text.substr(0, at);
    for (std::size_t size = 1; size <= text.size(); ++size) {
      StopMatcher matcher({stop});
      std::string out;
      for (std::size_t i = 0; i < text.size(); i += size) out += matcher.push(text.substr(i, size));
      out += matcher.finish();
      EXPECT_EQ(out, expected) << stop << " in pieces of " << size;
      EXPECT_EQ(matcher.stopped(), at != text.npos);
    }
  }
}

std::unique_ptr<Tokenizer> tokenizer(const Json& form) {
  const Scratch folder;
  write_file(folder / "tokenizer.json", form.dump());
  return load_tokenizer(folder.path());
}

std::string streamed(TextStream& stream, const std::vector<TokenId>& ids) {
  std::string out;
  for (const auto id : ids) out += stream.push(id) + "|";
  return out + stream.finish();
}

TEST(TextStream, ContinuesThePromptsText) {
  // ids of llama_form(): ▁a 263, ▁ 259, b 261. Alone, "▁a" decodes to "a"; after a prompt it is " a".
  const auto llama = tokenizer(llama_form());
  const auto prompt = llama->encode("ab");
  TextStream stream(*llama, prompt, {});
  EXPECT_EQ(streamed(stream, {263, 261}), " a|b|");
  EXPECT_EQ(stream.text(), " ab");
  // A prompt that ends in a byte token is still held by the decoder when the answer begins: it is not part of the answer.
  const auto line = llama->encode("ab\n");
  ASSERT_EQ(line.back(), 3 + '\n');
  TextStream after_line(*llama, line, {});
  EXPECT_EQ(streamed(after_line, {260, 261}), "a|b|");
  TextStream lines(*llama, line, {"\n"});
  EXPECT_EQ(streamed(lines, {260, 3 + '\n', 260}), "a|||");  // a run of bytes is known when it has ended
  EXPECT_TRUE(lines.stopped());
}

TEST(TextStream, ShowsWholeCharacters) {
  const auto gpt2 = tokenizer(gpt2_form());  // the three bytes of 你: 7 8 9
  TextStream stream(*gpt2, gpt2->encode("hi"), {});
  EXPECT_EQ(streamed(stream, {4, 7, 8, 9, 0}), " hi|||你|h|");
  TextStream broken(*gpt2, gpt2->encode("hi"), {});
  EXPECT_EQ(streamed(broken, {7, 8}), "||\xEF\xBF\xBD");  // cut off: what the tokenizer decodes it to
  const auto llama = tokenizer(llama_form());
  TextStream bytes(*llama, llama->encode("a"), {});
  EXPECT_EQ(streamed(bytes, {3 + 0xE4, 3 + 0xBD, 3 + 0xA0, 260}), "|||你a|");
}

TEST(TextStream, TakesTheTemplatesSeparatorOff) {
  const ByteTokenizer letters;
  const auto output = [](std::string_view text) { return std::string(text.starts_with(' ') ? text.substr(1) : text); };
  TextStream stream(letters, letters.encode("Q:", true), {"\n#"}, output);
  EXPECT_EQ(streamed(stream, letters.encode("  5 \n#", false)), "| |5| |||");
  EXPECT_EQ(stream.text(), " 5 ");
  TextStream empty(letters, letters.encode("Q:", true), {}, output);
  EXPECT_EQ(streamed(empty, letters.encode(" ", false)), "|");
}

}  // namespace
}  // namespace herd::test
