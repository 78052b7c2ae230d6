#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// Words between white space as Python's str.split() sees it, which knows the ideographic space and other Unicode spaces. `text` is UTF-8.
std::vector<std::string> split_whitespace(std::string_view text);

/// Without white space at both ends, as str.strip().
std::string_view strip(std::string_view text);

/// Parts between separators, as str.split(separator): always one more than there are separators.
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace herd
