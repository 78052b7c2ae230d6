#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd::jinja {

struct Token {
  enum class Kind { kData, kVariableBegin, kVariableEnd, kBlockBegin, kBlockEnd, kName, kString, kInteger, kFloat, kOperator, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  ///< of a string: what it stands for
  int line = 1;
};

/// A template as tokens, white space controlled as with trim_blocks and lstrip_blocks; comments are gone.
/// @throws DataError with the line for what is no token or never ends.
std::vector<Token> tokens_of(std::string_view source);

/// DataError of a line of a template. An empty remedy is the usual one: to write a template file.
[[noreturn]] void fail_at(int line, const std::string& found, const std::string& expected = "", const std::string& remedy = "");

}  // namespace herd::jinja
