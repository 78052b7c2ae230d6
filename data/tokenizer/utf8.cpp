#include "data/tokenizer/utf8.h"

#include <fmt/format.h>
#include <unicode/utf8.h>

#include <cstdint>
#include <cstring>

#include "runtime/base/error.h"

namespace herd {
namespace {

// Moves past one code point, or past one maximal ill-formed part: then the result is negative.
UChar32 step(std::string_view text, std::size_t& position) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int64_t>(text.size());
  auto at = static_cast<std::int64_t>(position);
  UChar32 c = 0;
  U8_NEXT(bytes, at, size, c);
  position = static_cast<std::size_t>(at);
  return c;
}

// Bytes of ASCII that the text begins with, counted in eights.
std::size_t ascii_bytes(std::string_view text) {
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof eight <= text.size(); at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & 0x8080808080808080ULL) != 0) return at;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace

bool is_ascii(std::string_view text) { return ascii_bytes(text) == text.size(); }

std::optional<std::size_t> invalid_utf8(std::string_view text) {
  for (std::size_t at = ascii_bytes(text); at < text.size();) {
    const auto start = at;
    if (step(text, at) < 0) return start;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto start = at;
    if (step(text, at) < 0)
      out += "\xEF\xBF\xBD";
    else
      out += text.substr(start, at - start);
  }
  return out;
}

void require_utf8(std::string_view text, std::string_view who) {
  const auto bad = invalid_utf8(text);
  if (!bad) return;
  throw DataError({.who = std::string(who),
                   .found = fmt::format("byte 0x{:02X} at offset {} is not UTF-8", static_cast<unsigned char>(text[*bad]), *bad),
                   .expected = "UTF-8 text",
                   .remedy = "convert the file to UTF-8, or replace what is broken"});
}

char32_t next_code_point(std::string_view text, std::size_t& position) { return static_cast<char32_t>(step(text, position)); }

void append_code_point(std::string& text, char32_t code_point) {
  char bytes[U8_MAX_LENGTH];
  std::int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, static_cast<std::uint32_t>(code_point));
  text.append(bytes, static_cast<std::size_t>(length));
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0;;) {
    const auto hit = from.empty() ? std::string_view::npos : text.find(from, at);
    out += text.substr(at, hit - at);
    if (hit == std::string_view::npos) return out;
    out += to;
    at = hit + from.size();
  }
}

}  // namespace herd
