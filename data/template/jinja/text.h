#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/jinja/fault.h"

namespace herd::jinja {

/// Texts as Python's str has them: places count characters, white space and case are Unicode's. All are UTF-8.
bool is_space(char32_t character);
std::vector<std::string_view> characters(std::string_view text);
std::int64_t count_characters(std::string_view text);

/// @param chars to take off; null: white space.
std::string_view lstrip(std::string_view text, const std::string_view* chars = nullptr);
std::string_view rstrip(std::string_view text, const std::string_view* chars = nullptr);
std::string_view strip(std::string_view text, const std::string_view* chars = nullptr);

/// @param separator null: at white space. @param most splits, −1: all.
std::vector<std::string_view> split(std::string_view text, const std::string_view* separator, std::int64_t most = -1);
std::vector<std::string_view> rsplit(std::string_view text, const std::string_view* separator, std::int64_t most = -1);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
/// As str.title().
std::string title(std::string_view text);
/// As jinja2's filter `title`, which knows other beginnings of words.
std::string title_words(std::string_view text);
bool is_printable(char32_t character);

/// @param most replacements, −1: all. @throws Fault past the budget.
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most, Budget& budget);
/// As jinja2's filter `indent`.
std::string indent(std::string_view text, std::string_view by, bool first, bool blank, Budget& budget);

}  // namespace herd::jinja
