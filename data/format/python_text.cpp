#include "data/format/python_text.h"

#include <utility>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Calls `take` with begin and end of each word.
template <class Take>
void for_each_word(std::string_view text, const Take& take) {
  constexpr auto kNone = std::string_view::npos;
  std::size_t word = kNone;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = at;
    const bool space = is_space(next_code_point(text, at));
    if (!space && word == kNone) word = begin;
    if (space && word != kNone) take(std::exchange(word, kNone), begin);
  }
  if (word != kNone) take(word, text.size());
}

}  // namespace

std::vector<std::string> split_whitespace(std::string_view text) {
  std::vector<std::string> words;
  for_each_word(text, [&](std::size_t begin, std::size_t end) { words.emplace_back(text.substr(begin, end - begin)); });
  return words;
}

std::string_view strip(std::string_view text) {
  std::size_t first = text.size(), last = text.size();
  for_each_word(text, [&](std::size_t begin, std::size_t end) {
    if (first == text.size()) first = begin;
    last = end;
  });
  return text.substr(first, last - first);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace herd
