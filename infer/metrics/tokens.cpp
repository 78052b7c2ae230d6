#include "infer/metrics/tokens.h"

#include "data/language.h"
#include "data/template/jinja/text.h"

namespace herd {
namespace {

std::vector<std::string> words(std::string_view lower) {
  std::vector<std::string> out;
  bool within = false;
  for (const char c : lower) {
    const bool part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (part && !within) out.emplace_back();
    if (part) out.back() += c;
    within = part;
  }
  return out;
}

std::vector<std::string> characters(std::string_view lower) {
  std::vector<std::string> out;
  for (const auto character : jinja::characters(lower))
    if (!jinja::strip(character).empty()) out.emplace_back(character);
  return out;
}

}  // namespace

TextTokens tokens_for(std::string_view text) {
  const auto language = language_of_text(text);
  return language.empty() || language == "EN" ? TextTokens::kWords : TextTokens::kCharacters;
}

std::vector<std::string> metric_tokens(std::string_view text, TextTokens tokens) {
  if (tokens == TextTokens::kByLanguage) tokens = tokens_for(text);
  const auto lower = jinja::lower(text);
  return tokens == TextTokens::kWords ? words(lower) : characters(lower);
}

}  // namespace herd
