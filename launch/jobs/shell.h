#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// A word as bash reads it back: as it is where nothing in it means anything to a shell, else in single quotes. @throws ConfigError for one
/// with a line break or NUL, which no line of a script can hold.
std::string shell_word(const std::string& word);

/// Words with blanks between them.
std::string shell_words(const std::vector<std::string>& words);

/// The words of a command line as one types it: blanks part them, quotes and backslashes keep them together; nothing is expanded.
/// @throws ConfigError for a quote that does not end.
std::vector<std::string> split_words(const std::string& line);

/// A value of an `#SBATCH --option=` line, whose quotes are sbatch's own: in double quotes, `"` and `\` behind a backslash. @throws
/// ConfigError as shell_word does.
std::string directive_value(const std::string& value);

/// `template_text` with each `@name@` replaced, in one pass: what is put in is not looked at again. A line that is nothing but a place with
/// an empty value goes as a whole.
/// @throws ConfigError for a place that `places` does not know, or does not use.
std::string fill_places(std::string_view template_text, const std::map<std::string, std::string>& places);

}  // namespace herd
