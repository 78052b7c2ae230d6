#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace herd {

bool is_ascii(std::string_view text);

/// Byte offset of the first byte that is not UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms), if any.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// U+FFFD for each maximal ill-formed part, as Python's `errors='replace'` and Rust's `from_utf8_lossy` do.
std::string replace_invalid_utf8(std::string_view text);

/// @throws DataError with the byte offset and the byte. `who` names the text.
void require_utf8(std::string_view text, std::string_view who);

/// The code point at `position`, which moves past it. `text` is UTF-8.
char32_t next_code_point(std::string_view text, std::size_t& position);
void append_code_point(std::string& text, char32_t code_point);

/// Every `from` becomes `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace herd
