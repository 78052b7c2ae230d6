#include "infer/metrics/answers.h"

#include <fmt/format.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "data/format/python_text.h"
#include "data/template/jinja/text.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

std::string nfc(std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  auto error = U_ZERO_ERROR;
  const auto* normalizer = icu::Normalizer2::getNFCInstance(error);
  const auto units = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  std::string out;
  normalizer->normalize(units, error).toUTF8String(out);
  if (U_FAILURE(error))
    throw DataError({.who = "an answer", .found = u_errorName(error), .expected = "a text that ICU can normalise", .remedy = ""});
  return out;
}

bool goes_from_either_end(char32_t c) {
  constexpr auto kBracketsAndQuotes = U_GC_PS_MASK | U_GC_PE_MASK | U_GC_PI_MASK | U_GC_PF_MASK;
  return c == ' ' || c == '"' || c == '\'' || (U_GET_GC_MASK(static_cast<UChar32>(c)) & kBracketsAndQuotes) != 0;
}

bool goes_from_the_end(char32_t c) {
  constexpr std::u32string_view kMarks = U".,;:!?。、";
  return goes_from_either_end(c) || kMarks.find(c) != kMarks.npos;
}

/// Without signs and blanks around it.
std::string_view bare(std::string_view text) {
  const auto characters = jinja::characters(text);
  const auto is = [](auto goes) {
    return [goes](std::string_view character) {
      std::size_t at = 0;
      return !goes(next_code_point(character, at));
    };
  };
  const auto first = std::find_if(characters.begin(), characters.end(), is(goes_from_either_end));
  const auto last = std::find_if(characters.rbegin(), std::make_reverse_iterator(first), is(goes_from_the_end)).base();
  if (first == last) return {};
  return {first->data(), static_cast<std::size_t>(std::prev(last)->data() + std::prev(last)->size() - first->data())};
}

/// Few words answer many instructions: each is compiled once.
Regex whole_word(const std::string& word) {
  static std::mutex one_at_a_time;
  static std::map<std::string, Regex> compiled;
  const std::scoped_lock lock(one_at_a_time);
  const auto known = compiled.find(word);
  if (known != compiled.end()) return known->second;
  const auto digits = word.find_last_not_of("0123456789") + 1;
  const auto pattern = fmt::format("(?i)(?<![A-Za-z0-9])\\Q{}\\E *\\Q{}\\E(?![A-Za-z0-9])", word.substr(0, digits), word.substr(digits));
  return compiled.emplace(word, Regex(pattern, "answer word " + word)).first->second;
}

}  // namespace

std::string half_width(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    auto c = next_code_point(text, at);
    if (c >= 0xff01 && c <= 0xff5e) c -= 0xff01 - '!';
    append_code_point(out, c == 0x3000 ? U' ' : c);
  }
  return out;
}

std::string normal_answer(std::string_view text) {
  const auto spaced = join(split_whitespace(jinja::lower(half_width(nfc(text)))), " ");
  return std::string(bare(spaced));
}

bool exact_match(std::string_view answer, std::span<const std::string> references) {
  const auto found = normal_answer(answer);
  return std::any_of(references.begin(), references.end(), [&](const auto& reference) { return normal_answer(reference) == found; });
}

std::vector<std::string> answer_format(std::string_view instruction) {
  constexpr std::string_view kMark = "Answer format:";
  const auto mark = instruction.rfind(kMark);
  if (mark == instruction.npos) return {};
  auto line = instruction.substr(mark + kMark.size());
  line = line.substr(0, line.find('\n'));
  std::vector<std::string> words;
  for (const auto& word : split(line, '/'))
    if (const auto text = strip(word); !text.empty()) words.emplace_back(text);
  return words;
}

std::string answer_word(std::string_view answer, std::span<const std::string> words) {
  std::string best;
  auto first = answer.size();
  for (const auto& word : words) {
    const auto found = whole_word(word).find_all(answer);
    if (found.empty() || found[0].first >= first) continue;
    first = found[0].first;
    best = word;
  }
  return best;
}

}  // namespace herd
