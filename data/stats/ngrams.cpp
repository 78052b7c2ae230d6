#include "data/stats/ngrams.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

enum class Kind { kLetter, kCharacter, kApostrophe, kBlank, kOther };

bool is_character(char32_t c) {
  return (c >= 0x3041 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0x20000 && c <= 0x3ffff);
}

Kind kind_of(char32_t c) {
  if (c == ' ' || c == '\t' || c == 0xa0 || c == 0x3000) return Kind::kBlank;
  if (c == '\'' || c == 0x2019) return Kind::kApostrophe;
  const auto category = U_GET_GC_MASK(static_cast<UChar32>(c));
  if (!(category & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK))) return Kind::kOther;
  return is_character(c) ? Kind::kCharacter : Kind::kLetter;
}

}  // namespace

std::vector<std::vector<Term>> terms_of(std::string_view text) {
  std::vector<std::vector<Term>> stretches(1);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) stretches.back().push_back({std::move(word), true});
    word.clear();
  };
  const auto end_stretch = [&] {
    end_word();
    if (!stretches.back().empty()) stretches.emplace_back();
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto c = next_code_point(text, at);
    auto kind = kind_of(c);
    if (kind == Kind::kApostrophe) {
      auto after = at;
      if (word.empty() || at == text.size() || kind_of(next_code_point(text, after)) != Kind::kLetter) kind = Kind::kOther;
    }
    switch (kind) {
      case Kind::kLetter: append_code_point(word, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)))); break;
      case Kind::kApostrophe: word += '\''; break;
      case Kind::kBlank: end_word(); break;
      case Kind::kOther: end_stretch(); break;
      case Kind::kCharacter:
        end_word();
        stretches.back().push_back({});
        append_code_point(stretches.back().back().text, c);
        break;
    }
  }
  end_word();
  if (stretches.back().empty()) stretches.pop_back();
  return stretches;
}

std::vector<std::vector<Term>> terms_of(const Record& record) {
  std::vector<std::vector<Term>> out;
  for (const auto& turn : record.turns)
    for (const auto* text : {&turn.text, &turn.input}) {
      auto stretches = terms_of(*text);
      std::move(stretches.begin(), stretches.end(), std::back_inserter(out));
    }
  return out;
}

void NgramCounts::add(const std::vector<std::vector<Term>>& stretches, std::size_t length) {
  auto& counter = by_length[length];
  std::string ngram;
  for (const auto& terms : stretches) {
    for (std::size_t begin = 0; begin + length < terms.size(); ++begin) {
      ngram.clear();
      for (auto i = begin; i <= begin + length; ++i) {
        if (i > begin && terms[i - 1].is_word && terms[i].is_word) ngram += ' ';
        ngram += terms[i].text;
      }
      counter.add(ngram);
    }
  }
}

}  // namespace herd
