#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/file.h"

namespace herd {

/// A text file, line by line; memory holds one line. A line ends at `\n`, `\r\n` or `\r`, as in Python's text mode. A byte order mark at
/// the beginning is left out.
class LineReader {
 public:
  enum class BadUtf8 {
    kRefuse,   ///< an error
    kReplace,  ///< U+FFFD, as Python's errors="replace" does
  };

  /// @throws IoError where the file cannot be read.
  explicit LineReader(std::filesystem::path path, BadUtf8 bad_utf8 = BadUtf8::kRefuse);

  /// The next line without its end; false at the end of the file.
  /// @throws DataError with the line: a NUL byte, a line of more than 16 MiB, bytes that are no UTF-8 where that is refused.
  bool next(std::string& line);

  std::uint32_t line() const { return line_; }  ///< of what `next` gave last, from 1
  bool ended() const { return ended_; }         ///< whether that line had an end; the last one may lack it
  const std::filesystem::path& path() const { return file_.path(); }

  /// An error about the line that `next` gave last, or about another one.
  DataError error(std::string found, std::string expected, std::string remedy = "") const {
    return error_at(line_, found, expected, remedy);
  }
  DataError error_at(std::uint32_t line, std::string found, std::string expected, std::string remedy = "") const;

 private:
  bool fill();

  File file_;
  BadUtf8 bad_utf8_;
  std::vector<char> buffer_;
  std::size_t at_ = 0, filled_ = 0;
  std::uint32_t line_ = 0;
  bool ended_ = false, after_return_ = false;
};

}  // namespace herd
