#include <fmt/format.h>

#include <map>
#include <mutex>
#include <set>

#include "data/tokenizer/regex.h"
#include "infer/metrics/answers.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

/// Patterns over half-width text for choices from A to `last`.
struct Patterns {
  explicit Patterns(char last)
      : letter(fmt::format("[A-{}]", last)),
        // One letter or several, with what may join them. The last lookahead is for the article.
        group(fmt::format("(?<![A-Za-z0-9]){0}(?:(?: ?[,、/&;+] ?(?:(?:and|or) )?| ?[和与及或] ?| (?:and|or) | )?{0})*(?!['’]?[A-Za-z0-9])"
                          "(?!(?<=A) (?!(?:and|or|is)\\b)[a-z])",
                          letter)),
        groups(group, "letters of choice"), marked(
                                                "(?:(?i:answers?)|答案|应选|故选|所以选|因此选|选择)(?:[\\s:(\\[\"'“‘「*]|["
                                                "是为应该选项的序号]|(?i:is|are|be|should|option|choice)\\b)*" +
                                                    group,
                                                "marked letters of choice"),
        labels(fmt::format("(?m)^[ \\t(\\[*]*{}[*]* ?[:.、)\\]]", letter), "labels of choices") {}

  std::string letter, group;
  Regex groups, marked, labels;
};

const Patterns& patterns_to(char last) {
  static std::mutex one_at_a_time;
  static std::map<char, Patterns> compiled;
  const std::scoped_lock lock(one_at_a_time);
  return compiled.try_emplace(last, last).first->second;
}

std::string letters_in(std::string_view text, const Ranges& ranges, char last) {
  std::set<char> letters;
  for (const auto& [begin, end] : ranges)
    for (const char c : text.substr(begin, end - begin))
      if (c >= 'A' && c <= last) letters.insert(c);
  return {letters.begin(), letters.end()};
}

}  // namespace

std::string choice_letters(std::string_view answer, int choices) {
  if (choices < 2 || choices > 26)
    throw ConfigError({.who = "a question of choice", .found = fmt::format("{} choices", choices), .expected = "2 to 26", .remedy = ""});
  const auto last = static_cast<char>('A' + choices - 1);
  const auto bare = normal_answer(answer);
  if (bare.size() == 1 && bare[0] >= 'a' && bare[0] - 'a' < choices) return {static_cast<char>(bare[0] - 'a' + 'A')};

  const auto& patterns = patterns_to(last);
  const auto text = half_width(answer);
  const auto groups_of = [&](std::string_view part) { return patterns.groups.find_all(part); };
  if (const auto marked = patterns.marked.find_all(text); !marked.empty()) {
    const auto [begin, end] = marked.back();
    const auto part = std::string_view(text).substr(begin, end - begin);
    return letters_in(part, {groups_of(part).back()}, last);
  }
  const auto groups = groups_of(text);
  if (groups.empty()) return {};
  const auto labels = patterns.labels.find_all(text);
  const bool listed = !labels.empty() && labels[0].first <= groups[0].first && groups[0].second <= labels[0].second;
  return letters_in(text, listed ? labels : Ranges{groups[0]}, last);
}

}  // namespace herd
