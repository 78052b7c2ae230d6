#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Rows in columns for a terminal, two blanks between them, a line each. Chinese, Japanese and Korean characters count as two places.
/// @param sides `l` or `r` for each column: on which side of it its texts stand.
std::string text_table(const std::vector<std::vector<std::string>>& rows, std::string_view sides);

/// How many places of a terminal a text takes.
std::size_t places_of(std::string_view text);

}  // namespace herd
