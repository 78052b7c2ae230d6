#pragma once
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace herd {
namespace json_scan {

constexpr std::array<bool, 256> all_but(std::string_view special) {
  std::array<bool, 256> plain{};
  for (auto& p : plain) p = true;
  for (const char c : special) plain[static_cast<unsigned char>(c)] = false;
  return plain;
}
inline constexpr auto kPlain = all_but("{}[],\""), kPlainInString = all_but("\"\\");

}  // namespace json_scan

/// Follows the brackets and strings of JSON, piece by piece, without understanding it.
class JsonScan {
 public:
  enum class Stop {
    kClosed,     ///< behind a bracket that closed the outermost one
    kSeparator,  ///< at a comma, or a closing bracket, outside all brackets
    kEnd,        ///< at the end of the text
  };

  /// Goes on at `at`, which moves to where it stops.
  Stop run(std::string_view text, std::size_t& at) {
    while (at < text.size()) {
      if (escaped_) {
        escaped_ = false;
        ++at;
        continue;
      }
      const auto& plain = in_string_ ? json_scan::kPlainInString : json_scan::kPlain;
      while (at < text.size() && plain[static_cast<unsigned char>(text[at])]) ++at;
      if (at == text.size()) break;
      const char c = text[at];
      if (in_string_) {
        (c == '"' ? in_string_ : escaped_) = c != '"';
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        open_.push_back(c);
      } else if (open_.empty()) {
        return Stop::kSeparator;
      } else if (c != ',') {
        open_.pop_back();
        if (open_.empty()) return ++at, Stop::kClosed;
      }
      ++at;
    }
    return Stop::kEnd;
  }

  bool in_string() const { return in_string_; }
  /// The brackets around the place, the outermost first.
  const std::string& open() const { return open_; }

 private:
  std::string open_;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace herd
