#include "data/template/jinja/text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "data/tokenizer/utf8.h"

namespace herd::jinja {
namespace {

std::size_t character_size(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

char32_t code_point(std::string_view character) {
  std::size_t at = 0;
  return next_code_point(character, at);
}

std::string_view last_character(std::string_view text) {
  auto at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return text.substr(at);
}

bool goes(std::string_view character, const std::string_view* chars) {
  return chars ? chars->find(character) != chars->npos : is_space(code_point(character));
}

template <typename Change>
std::string changed(std::string_view text, Change change) {
  auto unicode = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  change(unicode);
  std::string out;
  unicode.toUTF8String(out);
  return out;
}

// Python titles a first letter by its title case ("ǆ" → "ǅ"), and one letter may become two.
std::string title_letter(std::string_view character) {
  if (const auto simple = u_totitle(static_cast<UChar32>(code_point(character))); simple != static_cast<UChar32>(code_point(character))) {
    std::string out;
    append_code_point(out, static_cast<char32_t>(simple));
    return out;
  }
  auto big = upper(character);
  const auto parts = characters(big);
  return parts.size() < 2 ? big : std::string(parts[0]) + lower(std::string_view(big).substr(parts[0].size()));
}

bool is_cased(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_CASED); }

}  // namespace

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size(); at += out.back().size()) out.push_back(text.substr(at, character_size(static_cast<unsigned char>(text[at]))));
  return out;
}

std::int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string_view lstrip(std::string_view text, const std::string_view* chars) {
  while (!text.empty()) {
    const auto first = text.substr(0, character_size(static_cast<unsigned char>(text[0])));
    if (!goes(first, chars)) break;
    text.remove_prefix(first.size());
  }
  return text;
}

std::string_view rstrip(std::string_view text, const std::string_view* chars) {
  while (!text.empty()) {
    const auto last = last_character(text);
    if (!goes(last, chars)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

std::string_view strip(std::string_view text, const std::string_view* chars) { return lstrip(rstrip(text, chars), chars); }

std::vector<std::string_view> split(std::string_view text, const std::string_view* separator, std::int64_t most) {
  std::vector<std::string_view> out;
  if (separator) {
    if (separator->empty()) throw Fault{"a split at an empty text", "a separator", ""};
    for (std::size_t end = 0; most < 0 || static_cast<std::int64_t>(out.size()) < most; text.remove_prefix(end + separator->size())) {
      end = text.find(*separator);
      if (end == text.npos) break;
      out.push_back(text.substr(0, end));
    }
    out.push_back(text);
    return out;
  }
  for (text = lstrip(text); !text.empty(); text = lstrip(text)) {
    if (most >= 0 && static_cast<std::int64_t>(out.size()) >= most) {
      out.push_back(text);  // its end keeps its white space, as in Python
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      auto next = end;
      if (is_space(next_code_point(text, next))) break;
      end = next;
    }
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

std::vector<std::string_view> rsplit(std::string_view text, const std::string_view* separator, std::int64_t most) {
  if (most < 0) return split(text, separator);
  std::vector<std::string_view> out;
  if (separator) {
    if (separator->empty()) throw Fault{"a split at an empty text", "a separator", ""};
    for (std::size_t at = 0; static_cast<std::int64_t>(out.size()) < most && (at = text.rfind(*separator)) != text.npos; text = text.substr(0, at))
      out.push_back(text.substr(at + separator->size()));
    out.push_back(text);
  } else {
    for (text = rstrip(text); !text.empty(); text = rstrip(text)) {
      if (static_cast<std::int64_t>(out.size()) >= most) {
        out.push_back(text);
        break;
      }
      auto begin = text.size();
      while (begin > 0) {
        const auto last = last_character(text.substr(0, begin));
        if (is_space(code_point(last))) break;
        begin -= last.size();
      }
      out.push_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  const auto ends = [](char32_t c) { return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029; };
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = at;
    const auto c = next_code_point(text, at);
    if (!ends(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    out.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
  return out;
}

std::string upper(std::string_view text) {
  return changed(text, [](icu::UnicodeString& s) { s.toUpper(icu::Locale::getRoot()); });
}

std::string lower(std::string_view text) {
  return changed(text, [](icu::UnicodeString& s) { s.toLower(icu::Locale::getRoot()); });
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return "";
  const auto size = character_size(static_cast<unsigned char>(text[0]));
  return title_letter(text.substr(0, size)) + lower(text.substr(size));
}

std::string title(std::string_view text) {
  std::string out;
  bool within = false;
  for (const auto character : characters(text)) {
    out += within ? lower(character) : title_letter(character);
    within = is_cased(code_point(character));
  }
  return out;
}

std::string title_words(std::string_view text) {
  std::string out;
  const auto begins = [](std::string_view character) {
    return std::string_view("-({[<").find(character) != std::string_view::npos || is_space(code_point(character));
  };
  const auto all = characters(text);
  for (std::size_t i = 0; i < all.size();) {
    auto end = i;
    while (end < all.size() && begins(all[end]) == begins(all[i])) ++end;
    const std::string_view word(all[i].data(), static_cast<std::size_t>(all[end - 1].data() + all[end - 1].size() - all[i].data()));
    out += upper(all[i]) + lower(word.substr(all[i].size()));
    i = end;
  }
  return out;
}

bool is_printable(char32_t c) {
  constexpr auto hidden = U_GC_C_MASK | U_GC_Z_MASK;
  return c == ' ' || !(U_GET_GC_MASK(static_cast<UChar32>(c)) & hidden);
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most, Budget& budget) {
  std::string out;
  std::int64_t done = 0;
  const auto may = [&] { return most < 0 || done < most; };
  if (from.empty()) {  // before, between and after all characters
    for (const auto character : characters(text)) {
      if (may()) {
        budget.make(to.size());
        out += to;
        ++done;
      }
      out += character;
    }
    return may() ? out.append(to) : out;
  }
  budget.make(text.size());
  for (std::size_t at = 0; may() && (at = text.find(from)) != text.npos; ++done) {
    budget.make(to.size());
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

std::string indent(std::string_view text, std::string_view by, bool first, bool blank, Budget& budget) {
  const auto with_end = std::string(text) + "\n";
  std::string out(first ? by : "");
  bool is_first = true;
  for (const auto line : split_lines(with_end)) {
    budget.make(line.size() + by.size());
    if (!is_first) out.append("\n").append(blank || !line.empty() ? by : "");
    is_first = false;
    out += line;
  }
  return out;
}

}  // namespace herd::jinja
