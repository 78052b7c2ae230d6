#include "infer/metrics/numbers.h"

#include <charconv>
#include <cmath>

#include "data/format/python_text.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/utf8.h"
#include "infer/metrics/answers.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

// D stands for a digit of either width. Alternatives are tried in turn: fractions before plain numbers, thousands before digits.
constexpr auto kNumber =
    "(?:(?<![A-Za-z0-9０-９_)])[-−－][$€£¥￥]?)?(?<![A-Za-z0-9０-９_])(?<!D[.．])"
    "(?:(?<!D[/⁄])(?:D+ )?D+[/⁄][0０]*[1-9１-９]D*(?![/⁄.．]?D)"
    "|(?:D{1,3}(?:,D{3})+(?!D)|D+)(?:[.．]D+)?(?:[eE][-+]?D+)?|[.．]D+)";

std::vector<std::pair<std::size_t, std::size_t>> numbers_in(std::string_view text) {
  static const Regex regex(replace_all(kNumber, "D", "[0-9０-９]"), "numbers");
  return regex.find_all(text);
}

/// What stands behind the last `####` that a number follows, else all.
std::string_view last_part(std::string_view answer) {
  static const Regex regex("####[ \\t]*[$€£¥￥]?" + replace_all(kNumber, "D", "[0-9０-９]"), "numbers behind ####");
  const auto found = regex.find_all(answer);
  return found.empty() ? answer : answer.substr(found.back().first, found.back().second - found.back().first);
}

double decimal(std::string_view digits) {
  double value = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  // Past what a double holds: no answer is meant to be that, and nothing is near it.
  return end.ec == std::errc() ? value : std::nan("");
}

double value_of(std::string_view number) {
  auto text = half_width(number);
  const bool negative = text.starts_with("-") || text.starts_with("−");
  for (const auto* gone : {",", "−", "$", "€", "£", "¥", "￥"}) text = replace_all(text, gone, "");
  text = replace_all(text, "⁄", "/");
  if (text.starts_with("-")) text.erase(0, 1);
  double value = 0;
  for (const auto& part : split_whitespace(text)) {
    const auto parts = split(part, '/');
    value += parts.size() == 2 ? decimal(parts[0]) / decimal(parts[1]) : decimal(part);
  }
  return negative ? -value : value;
}

}  // namespace

std::optional<double> number_in(std::string_view answer) {
  answer = last_part(answer);
  const auto found = numbers_in(answer);
  if (found.empty()) return std::nullopt;
  const auto value = value_of(answer.substr(found.back().first, found.back().second - found.back().first));
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

bool number_match(std::string_view answer, std::string_view reference) {
  const auto expected = number_in(reference);
  if (!expected)
    throw DataError({.who = "a numeric reference",
                     .found = "'" + std::string(reference.substr(0, 80)) + "'",
                     .expected = "a number in it",
                     .remedy = ""});
  const auto found = number_in(answer);
  return found && std::abs(*found - *expected) <= kSameNumber;
}

}  // namespace herd
