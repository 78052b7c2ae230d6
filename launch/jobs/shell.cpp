#include "launch/jobs/shell.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

void refuse_line_breaks(const std::string& word) {
  if (word.find_first_of(std::string_view("\n\r\0", 3)) == std::string::npos) return;
  throw ConfigError({.who = "batch script", .found = "a line break in '" + word + "'", .expected = "text of one line", .remedy = ""});
}

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_-./=:,+%@").find(c) != std::string_view::npos;
}

bool is_name(char c) { return std::islower(static_cast<unsigned char>(c)) || c == '_'; }

}  // namespace

std::string shell_word(const std::string& word) {
  refuse_line_breaks(word);
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  std::string quoted = "'";
  for (const char c : word) c == '\'' ? quoted += "'\\''" : quoted += c;
  return quoted + "'";
}

std::string shell_words(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const auto& word : words) quoted.push_back(shell_word(word));
  return join(quoted, " ");
}

std::vector<std::string> split_words(const std::string& line) {
  std::vector<std::string> words;
  bool within = false;  // a word, be it empty as yet
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < line.size();
    if (!quote && std::isspace(static_cast<unsigned char>(c))) {
      within = false;
      continue;
    }
    if (!std::exchange(within, true)) words.emplace_back();
    if (escapes) words.back() += line[++i];
    else if (quote ? c == quote : c == '\'' || c == '"') quote = quote ? 0 : c;
    else words.back() += c;
  }
  if (quote)
    throw ConfigError(
        {.who = "'" + line + "'", .found = std::string("a ") + quote + " that does not end", .expected = "quotes in pairs", .remedy = ""});
  return words;
}

std::string directive_value(const std::string& value) {
  refuse_line_breaks(value);
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) return value;
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string fill_places(std::string_view text, const std::map<std::string, std::string>& places) {
  std::string filled;
  std::set<std::string> used;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    std::string out;
    bool only_empty = false;
    for (std::size_t at = 0; at < line.size();) {
      const auto end = line[at] == '@' ? std::find_if_not(line.begin() + at + 1, line.end(), is_name) - line.begin() : 0;
      const bool is_place = static_cast<std::size_t>(end) > at + 1 && static_cast<std::size_t>(end) < line.size() && line[end] == '@';
      if (!is_place) {
        out += line[at++];
        continue;
      }
      const auto place = places.find(std::string(line.substr(at + 1, end - at - 1)));
      if (place == places.end())
        throw ConfigError({.who = "template",
                           .found = "the place '" + std::string(line.substr(at, end - at + 1)) + "'",
                           .expected = "one that herd submit fills",
                           .remedy = ""});
      used.insert(place->first);
      out += place->second;
      only_empty = place->second.empty() && static_cast<std::size_t>(end) + 1 - at == line.size();
      at = static_cast<std::size_t>(end) + 1;
    }
    if (!only_empty) filled += out + "\n";
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  for (const auto& [name, value] : places)
    if (!used.contains(name))
      throw ConfigError({.who = "template", .found = "no place '@" + name + "@'", .expected = "one for each value", .remedy = ""});
  return filled;
}

}  // namespace herd
