#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "data/template/jinja/text.h"
#include "infer/evaluate/judge.h"
#include "infer/metrics/answers.h"

namespace herd {
namespace {

std::string_view behind(std::string_view text, std::string_view signs) {
  text.remove_prefix(std::min(text.find_first_not_of(signs), text.size()));
  return text;
}

constexpr std::string_view kBlanks = " \t*\"'", kBlanksAndLines = " \t\r\n*\"'";

bool digit_at(std::string_view text, std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; }

/// A number, and what follows it.
struct Numeral {
  double value = 0;
  std::string_view rest;
};

std::optional<Numeral> numeral_at(std::string_view text) {
  if (!digit_at(text, 0) && !text.starts_with('-') && !text.starts_with('.')) return std::nullopt;
  Numeral out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.value, std::chars_format::fixed);
  if (error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc()) out.value = std::nan("");
  out.rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return out;
}

/// What stands behind the first of `words` that `text` begins with.
template <class Words>
std::optional<std::string_view> behind_word(std::string_view text, const Words& words) {
  for (const std::string_view word : words)
    if (text.starts_with(word)) return behind(text.substr(word.size()), kBlanks);
  return std::nullopt;
}

/// Whether what follows a number makes another one of it: more digits, a share, a range, or a scale that does not end at 1.
bool means_another(std::string_view rest) {
  constexpr std::array kScales{"/", "out of", "of "}, kShares{"%", "‰", "percent"};
  constexpr std::array kRanges{"-", "–", "~", "到", "至", "to "};
  if (!rest.empty() && (std::isalpha(static_cast<unsigned char>(rest[0])) || ((rest[0] == ',' || rest[0] == '.') && digit_at(rest, 1)))) return true;
  rest = behind(rest, kBlanks);
  if (behind_word(rest, kShares)) return true;
  if (const auto end = behind_word(rest, kRanges); end && digit_at(*end, 0)) return true;
  if (const auto scale = behind_word(rest, kScales)) {
    const auto whole = numeral_at(*scale);
    return !whole || whole->value != 1 || means_another(whole->rest);
  }
  constexpr std::string_view kFull = "满分";
  rest = rest.substr(0, rest.find('\n'));
  const auto full = rest.find(kFull);
  if (full == rest.npos) return false;
  const auto whole = numeral_at(behind(rest.substr(full + kFull.size()), " :为是"));  // any bytes of these, no digit is among them
  return whole && whole->value != 1;
}

/// From 0 to 1, and on that scale.
std::optional<double> mark_of(const Numeral& number) {
  return number.value >= 0 && number.value <= 1 && !means_another(number.rest) ? std::optional(number.value) : std::nullopt;
}

}  // namespace

std::optional<double> mark_in(std::string_view reply) {
  const auto text = jinja::lower(half_width(reply));
  std::optional<double> found;
  for (const std::string_view word : {"得分", "分数", "score"})
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
      const auto rest = behind(std::string_view(text).substr(at + word.size()), kBlanks);
      if (!rest.starts_with(":")) continue;
      const auto number = numeral_at(behind(rest.substr(1), kBlanksAndLines));
      if (!number) continue;
      const auto mark = mark_of(*number);
      if (!mark || (found && *found != *mark)) return std::nullopt;
      found = mark;
    }
  if (found) return found;
  const auto alone = numeral_at(normal_answer(reply));
  return alone && alone->rest.empty() ? mark_of(*alone) : std::nullopt;
}

}  // namespace herd
