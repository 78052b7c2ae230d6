#include "data/language.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

struct Script {
  const char* language;
  std::array<UScriptCode, 2> scripts;
  int weight;  // how many letters of Latin one of these is worth: a Chinese character is a word
};

// Kana beside Chinese characters makes a text Japanese.
constexpr std::array kScripts{Script{"CN", {USCRIPT_HAN, USCRIPT_BOPOMOFO}, 3}, Script{"JA", {USCRIPT_HIRAGANA, USCRIPT_KATAKANA}, 12},
                              Script{"KO", {USCRIPT_HANGUL, USCRIPT_HANGUL}, 3}, Script{"RU", {USCRIPT_CYRILLIC, USCRIPT_CYRILLIC}, 1},
                              Script{"AR", {USCRIPT_ARABIC, USCRIPT_ARABIC}, 1}, Script{"EN", {USCRIPT_LATIN, USCRIPT_LATIN}, 1}};

struct Counts {
  std::array<std::int64_t, kScripts.size()> letters{};

  void add(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      if (static_cast<unsigned char>(text[at]) < 0x80) {
        letters.back() += std::isalpha(static_cast<unsigned char>(text[at++])) != 0;
        continue;
      }
      const auto c = static_cast<UChar32>(next_code_point(text, at));
      if (!u_isalpha(c)) continue;
      auto error = U_ZERO_ERROR;
      const auto script = uscript_getScript(c, &error);
      for (std::size_t i = 0; i < kScripts.size(); ++i)
        if (std::count(kScripts[i].scripts.begin(), kScripts[i].scripts.end(), script)) ++letters[i];
    }
  }

  std::string most() const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kScripts.size(); ++i)
      if (letters[i] * kScripts[i].weight > letters[best] * kScripts[best].weight) best = i;
    return letters[best] ? kScripts[best].language : "";
  }
};

}  // namespace

std::string language_of_text(std::string_view text) {
  Counts counts;
  counts.add(text);
  return counts.most();
}

std::string language_of(const Record& record) {
  if (!record.language.empty()) return record.language;
  Counts counts;
  for (const auto& turn : record.turns) {
    counts.add(turn.text);
    counts.add(turn.input);
  }
  return counts.most();
}

std::int64_t characters_of(const Record& record) {
  std::int64_t count = 0;
  const auto begins_one = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  for (const auto& turn : record.turns)
    for (const auto* text : {&turn.text, &turn.input}) count += std::count_if(text->begin(), text->end(), begins_one);
  return count;
}

}  // namespace herd
