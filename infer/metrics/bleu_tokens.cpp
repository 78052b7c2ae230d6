#include "infer/metrics/bleu_tokens.h"

#include <algorithm>
#include <array>

#include "data/format/python_text.h"
#include "data/language.h"
#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

struct Range {
  char32_t first, last;
};

// As sacrebleu has them in effect. The first is an accident of its table, where bounds of five digits after \u read as four and one sign
// more: so general punctuation, arrows and mathematical signs stand alone, and characters beyond the basic plane do not.
constexpr std::array kAlone{Range{0x2001, 0x2a6d}, Range{0x2e80, 0x2fdf}, Range{0x2ff0, 0x303f}, Range{0x3100, 0x312f},
                            Range{0x31a0, 0x31bf}, Range{0x31c0, 0x31ef}, Range{0x3200, 0x4db5}, Range{0x4e00, 0x9fbb},
                            Range{0xf900, 0xfa2d}, Range{0xfa30, 0xfa6a}, Range{0xfa70, 0xfad9}, Range{0xfe10, 0xfe1f},
                            Range{0xfe30, 0xfe4f}, Range{0xff00, 0xffef}};

bool stands_alone(char32_t c) {
  return std::any_of(kAlone.begin(), kAlone.end(), [c](Range range) { return range.first <= c && c <= range.last; });
}

// The rules read bytes: what they look for is ASCII, and every byte of another character is "no digit", as the character is.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_other(char c) { return !is_digit(c); }
bool is_point(char c) { return c == '.' || c == ','; }
bool is_dash(char c) { return c == '-'; }

/// All ASCII signs but the apostrophe, and those that stand in numbers: comma, dash and point.
bool is_sign(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

std::string part_signs(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_sign(c)) out += ' ';
    out += c;
    if (is_sign(c)) out += ' ';
  }
  return out;
}

/// Parts two neighbours of these kinds, and the one that is to stand alone from what is on its other side. From left to right: the second
/// of a pair is not the first of the next, so that of `a..` one point stays.
template <class First, class Second>
std::string part_pairs(std::string_view text, First first, Second second, bool first_alone) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (i + 1 == text.size() || !first(text[i]) || !second(text[i + 1])) {
      out += text[i++];
      continue;
    }
    if (first_alone) out += ' ';
    (out += text[i]) += ' ';
    out += text[i + 1];
    if (!first_alone) out += ' ';
    i += 2;
  }
  return out;
}

std::vector<std::string> part(std::string_view text) {
  auto parted = part_signs(text);
  parted = part_pairs(parted, is_other, is_point, false);
  parted = part_pairs(parted, is_point, is_other, true);
  parted = part_pairs(parted, is_digit, is_dash, false);
  return split_whitespace(parted);
}

std::vector<std::string> tokens_13a(std::string_view text) {
  auto line = replace_all(text, "<skipped>", "");
  line = replace_all(line, "-\n", "");
  line = replace_all(line, "\n", " ");
  line = replace_all(line, "&quot;", "\"");
  line = replace_all(line, "&amp;", "&");
  line = replace_all(line, "&lt;", "<");
  line = replace_all(line, "&gt;", ">");
  return part(" " + line + " ");  // a point at either end has a neighbour that is no digit
}

std::vector<std::string> tokens_zh(std::string_view text) {
  std::string spaced;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = at;
    const bool alone = stands_alone(next_code_point(text, at));
    if (alone) spaced += ' ';
    spaced += text.substr(begin, at - begin);
    if (alone) spaced += ' ';
  }
  return part(spaced);
}

}  // namespace

BleuTokens bleu_tokens_for(std::string_view text) { return language_of_text(text) == "CN" ? BleuTokens::kZh : BleuTokens::k13a; }

std::vector<std::string> bleu_tokens(std::string_view text, BleuTokens tokens) {
  if (tokens == BleuTokens::kByLanguage) tokens = bleu_tokens_for(text);
  return tokens == BleuTokens::kZh ? tokens_zh(strip(text)) : tokens_13a(strip(text));
}

}  // namespace herd
