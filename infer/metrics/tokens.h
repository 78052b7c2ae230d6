#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// What ROUGE and distinct-n count.
enum class TextTokens {
  kWords,       ///< runs of a–z and 0–9 in lower case, all else parts them: as `rouge_score` has it, for texts in Latin letters
  kCharacters,  ///< every character (code point) that is no white space, in lower case: for Chinese, and whatever is not in Latin letters
  kByLanguage,  ///< one of the two, by the reference's language
};

/// kWords for a text in Latin letters or without any letter, else kCharacters (language_of_text decides).
TextTokens tokens_for(std::string_view text);

/// The tokens of `text`, which is UTF-8; kByLanguage goes by this text itself.
std::vector<std::string> metric_tokens(std::string_view text, TextTokens tokens);

}  // namespace herd
