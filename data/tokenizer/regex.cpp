#include "data/tokenizer/regex.h"

#include <fmt/format.h>
#include <unicode/regex.h>
#include <unicode/utf16.h>

#include "runtime/base/error.h"

namespace herd {

struct Regex::Compiled {
  std::unique_ptr<icu::RegexPattern> pattern;
  std::string who;
};

namespace {

void require(UErrorCode status, const std::string& who, std::string_view doing) {
  if (U_SUCCESS(status)) return;
  throw DataError({.who = who, .found = fmt::format("{} fails: {}", doing, u_errorName(status)), .expected = {}, .remedy = {}});
}

// Walks UTF-16 units and UTF-8 bytes of one text side by side.
class ByteOffsets {
 public:
  explicit ByteOffsets(const icu::UnicodeString& text) : units_(text.getBuffer()) {}
  std::size_t at(int unit) {
    for (; unit_ < unit; ++unit_) {
      const auto c = units_[unit_];
      bytes_ += c < 0x80 ? 1 : c < 0x800 || U16_IS_SURROGATE(c) ? 2 : 3;  // two surrogates make four bytes
    }
    return bytes_;
  }

 private:
  const char16_t* units_;
  int unit_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

Regex::Regex(const std::string& pattern, const std::string& who) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError where;
  auto compiled = std::make_shared<Compiled>();
  compiled->who = who;
  compiled->pattern.reset(icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(pattern), where, status));
  if (U_FAILURE(status))
    throw DataError({.who = who,
                     .found = fmt::format("the pattern '{}' is not understood at character {}: {}", pattern, where.offset,
                                          u_errorName(status)),
                     .expected = "a regular expression",
                     .remedy = {}});
  compiled_ = std::move(compiled);
}

std::vector<std::pair<std::size_t, std::size_t>> Regex::find_all(std::string_view text) const {
  UErrorCode status = U_ZERO_ERROR;
  const auto units = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled_->pattern->matcher(units, status));
  require(status, compiled_->who, "starting the match");
  matcher->setStackLimit(0, status);  // a long run of blanks needs a long stack
  std::vector<std::pair<std::size_t, std::size_t>> found;
  ByteOffsets bytes(units);
  while (matcher->find(status)) {
    const auto start = bytes.at(matcher->start(status));
    found.emplace_back(start, bytes.at(matcher->end(status)));
  }
  require(status, compiled_->who, "the match");
  return found;
}

}  // namespace herd
