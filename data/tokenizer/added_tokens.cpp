#include "data/tokenizer/added_tokens.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

bool is_word(UChar32 c) {  // \w of Unicode Technical Standard 18
  const auto mask = U_GET_GC_MASK(c);
  return u_isUAlphabetic(c) || (mask & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL);
}

char32_t last_code_point(std::string_view text, std::size_t& start) {
  start = text.size() - 1;
  while (start > 0 && U8_IS_TRAIL(text[start])) --start;
  auto at = start;
  return next_code_point(text, at);
}

bool ends_with_word(std::string_view text) {
  std::size_t start = 0;
  return !text.empty() && is_word(static_cast<UChar32>(last_code_point(text, start)));
}

bool starts_with_word(std::string_view text) {
  std::size_t at = 0;
  return !text.empty() && is_word(static_cast<UChar32>(next_code_point(text, at)));
}

std::size_t without_trailing_space(std::string_view text) {
  while (!text.empty()) {
    std::size_t start = 0;
    if (!u_isUWhiteSpace(static_cast<UChar32>(last_code_point(text, start)))) break;
    text = text.substr(0, start);
  }
  return text.size();
}

std::size_t leading_space(std::string_view text) {
  std::size_t space = 0;
  for (std::size_t at = 0; at < text.size(); space = at)
    if (!u_isUWhiteSpace(static_cast<UChar32>(next_code_point(text, at)))) break;
  return space;
}

}  // namespace

void AddedTokenFinder::add(std::string pattern, TokenId id, AddedToken token) {
  if (pattern.empty()) return;
  auto& lengths = lengths_by_first_byte_[static_cast<unsigned char>(pattern[0])];
  const auto place = std::lower_bound(lengths.begin(), lengths.end(), pattern.size(), std::greater<>());
  if (place == lengths.end() || *place != pattern.size()) lengths.insert(place, pattern.size());
  entries_.try_emplace(std::move(pattern), id, std::move(token));  // of equal patterns the first is found
}

const AddedTokenFinder::Entries::value_type* AddedTokenFinder::match(std::string_view text, std::size_t at) const {
  for (const auto length : lengths_by_first_byte_[static_cast<unsigned char>(text[at])]) {
    if (length > text.size() - at) continue;
    if (const auto found = entries_.find(text.substr(at, length)); found != entries_.end()) return &*found;
  }
  return nullptr;
}

std::vector<Section> AddedTokenFinder::split(std::string_view text) const {
  std::vector<Section> out;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !entries_.empty();) {
    const auto* found = match(text, at);
    if (!found) {
      ++at;
      continue;
    }
    auto start = at, stop = at + found->first.size();
    at = stop;
    const auto& [id, token] = found->second;
    if (token.single_word && (ends_with_word(text.substr(0, start)) || starts_with_word(text.substr(stop)))) continue;
    if (token.lstrip) start = std::max(without_trailing_space(text.substr(0, start)), done);
    if (token.rstrip) stop += leading_space(text.substr(stop));
    if (done < start) out.push_back({text.substr(done, start - done), std::nullopt});
    out.push_back({text.substr(start, stop - start), id});
    done = stop;
  }
  if (done < text.size()) out.push_back({text.substr(done), std::nullopt});
  return out;
}

}  // namespace herd
