#include "data/readers/fault.h"

#include <fmt/format.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <memory>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

/// ICU's best guess, or "" where it is not one to repeat.
std::string likely_encoding(std::string_view bytes) {
  constexpr std::int32_t kWorthSaying = 10;
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&status), &ucsdet_close);
  const auto looked_at = bytes.substr(0, std::size_t{1} << 16);
  ucsdet_setText(detector.get(), looked_at.data(), static_cast<std::int32_t>(looked_at.size()), &status);
  const auto* match = ucsdet_detect(detector.get(), &status);
  if (U_FAILURE(status) || !match || ucsdet_getConfidence(match, &status) < kWorthSaying) return "";
  const std::string name = ucsdet_getName(match, &status);
  return U_FAILURE(status) || name == "UTF-8" ? "" : name;
}

std::uint32_t lines_before(std::string_view text, std::size_t at) {
  return static_cast<std::uint32_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

}  // namespace

void require_text(std::string_view bytes) {
  if (const auto nul = bytes.find('\0'); nul != bytes.npos)
    throw RecordFault{.found = "a NUL byte in the text",
                      .expected = "text in UTF-8",
                      .remedy = "is this a text file, and whole?",
                      .lines_below = lines_before(bytes, nul)};
  const auto at = invalid_utf8(bytes);
  if (!at) return;
  const auto encoding = likely_encoding(bytes);
  throw RecordFault{
      .found = fmt::format("text that is not valid UTF-8 (byte 0x{:02x}{})", static_cast<unsigned char>(bytes[*at]),
                           encoding.empty() ? "" : "; it looks like " + encoding),
      .expected = "text in UTF-8",
      .remedy = encoding.empty() ? "" : fmt::format("if the whole file is in {0}: iconv -f {0} -t UTF-8 FILE > NEW_FILE", encoding),
      .lines_below = lines_before(bytes, *at)};
}

}  // namespace herd
