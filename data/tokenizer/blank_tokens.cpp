#include "data/tokenizer/blank_tokens.h"

#include <algorithm>
#include <charconv>

namespace herd {
namespace {

constexpr std::size_t kMostBlanks = 80;
constexpr std::string_view kLineEnd = "<n>", kTab = "<|tab|>", kBlanks = "<|blank_";

// The number in <|blank_N|> at the start of `text`, and the token's bytes; 0 where there is none.
std::size_t blanks_at(std::string_view text, std::size_t& bytes) {
  if (!text.starts_with(kBlanks)) return 0;
  const auto* digits = text.data() + kBlanks.size();
  const auto* end = text.data() + text.size();
  std::size_t count = 0;
  const auto [stop, error] = std::from_chars(digits, end, count);
  const auto known = error == std::errc{} && *digits != '0' && count >= 2 && count <= kMostBlanks;
  if (!known || std::string_view(stop, end).substr(0, 2) != "|>") return 0;
  bytes = static_cast<std::size_t>(stop + 2 - text.data());
  return count;
}

}  // namespace

std::string write_blank_tokens(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      const auto run = std::min(text.find_first_not_of(' ', at), text.size()) - at;
      const auto count = std::min(run, kMostBlanks);
      out += count == 1 ? " " : std::string(kBlanks) + std::to_string(count) + "|>";
      at += count;
      continue;
    }
    if (text[at] == '\n')
      out += kLineEnd;
    else if (text[at] == '\t')
      out += kTab;
    else
      out += text[at];
    ++at;
  }
  return out;
}

std::string read_blank_tokens(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0, bytes = 0; at < text.size();) {
    const auto rest = text.substr(at);
    if (rest.starts_with(kLineEnd)) {
      out += '\n';
      at += kLineEnd.size();
    } else if (rest.starts_with(kTab)) {
      out += '\t';
      at += kTab.size();
    } else if (const auto count = blanks_at(rest, bytes)) {
      out.append(count, ' ');
      at += bytes;
    } else {
      out += text[at++];
    }
  }
  return out;
}

}  // namespace herd
