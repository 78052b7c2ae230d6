#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// What BLEU counts, as `sacrebleu` (Post 2018, "A call for clarity in reporting BLEU scores") names it.
enum class BleuTokens {
  k13a,         ///< words and signs as NIST's mteval-v13a.pl parts Western text
  kZh,          ///< Chinese characters and full-width signs each by itself, the rest like 13a
  kByLanguage,  ///< one of the two, by the reference's language
};

/// kZh for Chinese, else k13a (language_of_text decides).
BleuTokens bleu_tokens_for(std::string_view text);

/// The tokens of `text`, which is UTF-8; upper and lower case stay apart. kByLanguage goes by this text itself.
std::vector<std::string> bleu_tokens(std::string_view text, BleuTokens tokens);

}  // namespace herd
