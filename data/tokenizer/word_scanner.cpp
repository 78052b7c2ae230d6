#include "data/tokenizer/word_scanner.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

enum Kind : std::uint8_t { kOther, kLetter, kNumber, kBlank, kLineEnd, kEnd };  // kLineEnd: \r and \n, blanks too

Kind kind_of_code_point(char32_t c) {
  if (c == '\r' || c == '\n') return kLineEnd;
  const auto point = static_cast<UChar32>(c);
  const auto mask = U_GET_GC_MASK(point);
  if ((mask & U_GC_L_MASK) != 0) return kLetter;
  if ((mask & U_GC_N_MASK) != 0) return kNumber;
  return u_isUWhiteSpace(point) ? kBlank : kOther;
}

// ICU's tables cost a search a character: those of the basic plane are laid out flat.
using Kinds = std::array<Kind, 0x10000>;
const Kinds& kinds() {
  static const auto table = [] {
    Kinds all{};
    for (char32_t c = 0; c < all.size(); ++c) all[c] = kind_of_code_point(c);
    return all;
  }();
  return table;
}

// A text and a place in it.
class Cursor {
 public:
  Cursor(std::string_view text, std::size_t at) : text_(text), at_(at), kinds_(&kinds()) { look(); }
  std::size_t at() const { return at_; }
  Kind kind() const { return kind_; }
  char32_t character() const { return character_; }
  bool blank() const { return kind_ == kBlank || kind_ == kLineEnd; }
  void next() {
    at_ = next_;
    look();
  }
  void skip(Kind kind) {
    while (kind_ == kind) next();
  }

 private:
  void look() {
    next_ = at_;
    if (at_ >= text_.size()) {
      kind_ = kEnd;
      return;
    }
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte < 0x80) {
      character_ = byte;
      ++next_;
    } else {
      character_ = next_code_point(text_, next_);
    }
    kind_ = character_ < kinds_->size() ? (*kinds_)[character_] : kind_of_code_point(character_);
  }

  std::string_view text_;
  std::size_t at_, next_ = 0;
  const Kinds* kinds_;
  char32_t character_ = 0;
  Kind kind_ = kEnd;
};

// What follows an apostrophe in 's 't 're 've 'm 'll 'd: bytes of it, or 0. `folded`: in any case; ſ (U+017F) is an s then.
std::size_t contraction(std::string_view rest, bool folded) {
  const auto lower = [&](std::size_t i) -> char {
    if (i >= rest.size()) return '\0';
    return folded && rest[i] >= 'A' && rest[i] <= 'Z' ? static_cast<char>(rest[i] + 32) : rest[i];
  };
  if (folded && rest.starts_with("\u017F")) return 2;
  switch (lower(0)) {
    case 's': case 't': case 'm': case 'd': return 1;
    case 'r': case 'v': return lower(1) == 'e' ? 2 : 0;
    case 'l': return lower(1) == 'l' ? 2 : 0;
    default: return 0;
  }
}

// \s+(?!\S)|\s+ from a blank on: all blanks, but the last one where a word follows and it is not alone.
std::size_t blanks(Cursor cursor) {
  const auto start = cursor.at();
  auto last = start;
  for (; cursor.blank(); cursor.next()) last = cursor.at();
  return cursor.kind() == kEnd || last == start ? cursor.at() : last;
}

std::size_t gpt2_word(std::string_view text, std::size_t at) {
  Cursor cursor(text, at);
  if (cursor.character() == '\'')
    if (const auto bytes = contraction(text.substr(at + 1), false)) return at + 1 + bytes;
  if (cursor.character() == ' ') {
    Cursor after = cursor;
    after.next();
    if (after.blank() || after.kind() == kEnd) return blanks(cursor);
    cursor = after;
  } else if (cursor.blank()) {
    return blanks(cursor);
  }
  cursor.skip(cursor.kind());
  return cursor.at();
}

// \s*[\r\n]+ from a blank on, up to the last line end of the run; 0 where the run has none.
std::size_t to_last_line_end(Cursor cursor) {
  std::size_t stop = 0;
  while (cursor.blank()) {
    const bool line_end = cursor.kind() == kLineEnd;
    cursor.next();
    if (line_end) stop = cursor.at();
  }
  return stop;
}

template <int kDigits>
std::size_t llama3_word(std::string_view text, std::size_t at) {
  Cursor cursor(text, at);
  if (cursor.kind() == kLetter) {
    cursor.skip(kLetter);
    return cursor.at();
  }
  if (cursor.kind() == kNumber) {
    for (int digits = 0; digits < kDigits && cursor.kind() == kNumber; ++digits) cursor.next();
    return cursor.at();
  }
  if (cursor.character() == '\'')
    if (const auto bytes = contraction(text.substr(at + 1), true)) return at + 1 + bytes;
  Cursor after = cursor;
  after.next();
  if (after.kind() == kLetter && cursor.kind() != kLineEnd) {
    after.skip(kLetter);
    return after.at();
  }
  if (cursor.kind() == kOther || (cursor.character() == ' ' && after.kind() == kOther)) {
    after.skip(kOther);
    after.skip(kLineEnd);
    return after.at();
  }
  const auto lines = to_last_line_end(cursor);
  return lines != 0 ? lines : blanks(cursor);
}

// [^(\s|[.,!?…。，、।۔،])]: the inner brackets add to the set, as do ( | and ).
bool in_bloom_word(const Cursor& cursor) {
  constexpr std::u32string_view kStops = U"(|.,!?…。，、।۔،)";
  return cursor.kind() != kEnd && !cursor.blank() && kStops.find(cursor.character()) == std::u32string_view::npos;
}

std::size_t bloom_word(std::string_view text, std::size_t at) {
  const auto word_at = [&](Cursor cursor) {  // the end of a match from here; 0: there is none
    if (cursor.character() == ' ') cursor.next();
    if (!in_bloom_word(cursor)) return std::size_t{0};
    while (in_bloom_word(cursor)) cursor.next();
    return cursor.at();
  };
  Cursor cursor(text, at);
  if (const auto stop = word_at(cursor)) return stop;
  do cursor.next();  // what lies between two matches is one word
  while (cursor.kind() != kEnd && word_at(cursor) == 0);
  return cursor.at();
}

}  // namespace

WordScanner word_scanner(std::string_view pattern) {
  struct Entry {
    std::string_view pattern;
    WordScanner scanner;
  };
  constexpr Entry kScanners[] = {
      {kGpt2Pattern, gpt2_word}, {kLlama3Pattern, llama3_word<3>}, {kQwenPattern, llama3_word<1>}, {kBloomPattern, bloom_word}};
  const auto is_it = [&](const Entry& entry) { return entry.pattern == pattern; };
  const auto* found = std::find_if(std::begin(kScanners), std::end(kScanners), is_it);
  return found == std::end(kScanners) ? nullptr : found->scanner;
}

}  // namespace herd
