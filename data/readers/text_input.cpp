#include "data/readers/text_input.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "runtime/base/error.h"

namespace herd {
namespace {

using namespace std::literals;

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr auto kUtf8Mark = "\xef\xbb\xbf"sv;

/// UTF-32's little-endian mark begins like UTF-16's, so it comes first.
constexpr std::array<std::pair<std::string_view, const char*>, 4> kWideMarks{
    {{"\xff\xfe\0\0"sv, "UTF-32LE"}, {"\0\0\xfe\xff"sv, "UTF-32BE"}, {"\xff\xfe"sv, "UTF-16LE"}, {"\xfe\xff"sv, "UTF-16BE"}}};

/// By its mark, or by the zeros between ASCII's bytes where it has none.
std::string wide_encoding(std::string_view text) {
  for (const auto& [mark, name] : kWideMarks)
    if (text.starts_with(mark)) return name;
  if (text.size() < 4) return "";
  std::string zeros;
  for (const char c : text.substr(0, 4)) zeros += c == '\0' ? '0' : 'x';
  if (zeros == "000x") return "UTF-32BE";
  if (zeros == "x000") return "UTF-32LE";
  if (zeros == "0x0x") return "UTF-16BE";
  return zeros == "x0x0" ? "UTF-16LE" : "";
}

std::uint32_t lines_in(std::string_view text) { return static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

TextInput::TextInput(const std::string& path) : source_(open_source(path)) {
  while (rest().size() < 4 && more()) {
  }
  if (const auto encoding = wide_encoding(rest()); !encoding.empty())
    throw DataError({.who = path,
                     .found = "text in " + encoding,
                     .expected = "text in UTF-8",
                     .remedy = "iconv -f " + encoding + " -t UTF-8 " + path + " > NEW_FILE"});
  if (rest().starts_with(kUtf8Mark)) begin_ = kUtf8Mark.size();
}

bool TextInput::more() {
  if (ended_) return false;
  buffer_.erase(0, std::exchange(begin_, 0));
  const auto held = buffer_.size();
  buffer_.resize(held + kPiece);
  std::size_t got = 0;
  try {
    got = source_->read(buffer_.data() + held, kPiece);
  } catch (...) {
    buffer_.resize(held);
    throw;
  }
  buffer_.resize(held + got);
  ended_ = got == 0;
  return got > 0;
}

void TextInput::drop(std::size_t bytes) {
  line_ += lines_in(rest().substr(0, bytes));
  begin_ += bytes;
}

std::uint32_t TextInput::line_at(std::size_t offset) const { return line_ + lines_in(rest().substr(0, offset)); }

std::size_t TextInput::first_visible() {
  std::size_t from = 0;
  for (;;) {
    const auto at = rest().find_first_not_of(" \t\r\n", from);
    if (at != rest().npos) return at;
    from = rest().size();
    if (!more()) return rest().size();
  }
}

}  // namespace herd
