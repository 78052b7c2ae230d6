#include "data/format/line_reader.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

constexpr std::size_t kBuffer = 1 << 18, kLongest = 16 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool ends_line(char c) { return c == '\n' || c == '\r'; }

}  // namespace

LineReader::LineReader(std::filesystem::path path, BadUtf8 bad_utf8)
    : file_(std::move(path), File::Mode::read), bad_utf8_(bad_utf8), buffer_(kBuffer) {}

bool LineReader::next(std::string& line) {
  line.clear();
  ended_ = false;
  bool any = false;
  while (!ended_ && (at_ < filled_ || fill())) {
    if (after_return_ && buffer_[at_] == '\n') {
      after_return_ = false;
      ++at_;
      continue;
    }
    after_return_ = false;
    any = true;
    const auto* begin = buffer_.data() + at_;
    const auto* end = std::find_if(begin, static_cast<const char*>(buffer_.data()) + filled_, ends_line);
    line.append(begin, end);
    at_ += static_cast<std::size_t>(end - begin);
    if (line.size() > kLongest) {
      ++line_;
      throw error("a line of more than 16 MiB", "text with lines", "is it text?");
    }
    if (at_ == filled_) continue;
    ended_ = true;
    after_return_ = buffer_[at_++] == '\r';
  }
  if (!any) return false;
  ++line_;
  if (line_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
  if (line.find('\0') != std::string::npos)
    throw error("a NUL byte", "text in UTF-8", "is it UTF-16? iconv -f UTF-16 -t UTF-8 writes it anew");
  if (const auto bad = invalid_utf8(line)) {
    if (bad_utf8_ == BadUtf8::kRefuse)
      throw error(
          fmt::format("byte 0x{:02x} at position {} of the line, which is not UTF-8", static_cast<unsigned char>(line[*bad]), *bad + 1),
          "UTF-8");
    line = replace_invalid_utf8(line);
  }
  return true;
}

DataError LineReader::error_at(std::uint32_t line, std::string found, std::string expected, std::string remedy) const {
  return DataError({.who = fmt::format("{}:{}", path().string(), line),
                    .found = std::move(found),
                    .expected = std::move(expected),
                    .remedy = std::move(remedy)});
}

bool LineReader::fill() {
  ssize_t count;
  do count = read(file_.descriptor(), buffer_.data(), buffer_.size());
  while (count < 0 && errno == EINTR);
  if (count < 0) throw io_error(path(), "cannot read", errno);
  at_ = 0;
  filled_ = static_cast<std::size_t>(count);
  return count > 0;
}

}  // namespace herd
