#pragma once
#include <string>
#include <string_view>

namespace herd {

/// ChatGLM-6B's tokens for what its normaliser would lose: "\n" is <n>, a tab <|tab|>, 2 to 80 blanks <|blank_N|>, the longest first.
std::string write_blank_tokens(std::string_view text);
/// The way back.
std::string read_blank_tokens(std::string_view text);

}  // namespace herd
