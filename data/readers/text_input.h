#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/readers/source.h"

namespace herd {

/// The text of a file, of which the part from the next unread byte on is held, as much as was asked for. The lines that pass are counted.
class TextInput {
 public:
  /// Skips a byte order mark of UTF-8.
  /// @throws what open_source and ByteSource::read throw; DataError where the first bytes are those of UTF-16 or UTF-32.
  explicit TextInput(const std::string& path);

  /// What is held and not yet dropped; valid until more() or drop().
  std::string_view rest() const { return std::string_view(buffer_).substr(begin_); }
  /// Has the file's next piece behind it; false at the end of the file.
  bool more();
  void drop(std::size_t bytes);
  /// On which `rest` begins, from 1.
  std::uint32_t line() const { return line_; }
  /// The line that holds the byte at `offset` of `rest`.
  std::uint32_t line_at(std::size_t offset) const;

  /// The offset of the first byte that is no white space, reading on as far as needed; rest().size() where there is none.
  std::size_t first_visible();

 private:
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::uint32_t line_ = 1;
  bool ended_ = false;
};

}  // namespace herd
