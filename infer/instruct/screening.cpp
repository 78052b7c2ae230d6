#include "infer/instruct/screening.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/template/jinja/text.h"
#include "infer/metrics/tokens.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

// In lower case, with plain apostrophes.
constexpr std::array kAnywhere{"as an ai language model",
                               "as a language model",
                               "as an ai model",
                               "as an ai assistant",
                               "as an artificial intelligence",
                               "i'm an ai language model",
                               "i am an ai language model",
                               "i'm just an ai",
                               "作为一个ai",
                               "作为一名ai",
                               "作为ai",
                               "作为一个人工智能",
                               "作为一名人工智能",
                               "作为人工智能",
                               "作为一个语言模型",
                               "作为语言模型",
                               "作为一个大型语言模型",
                               "我是一个ai",
                               "我是ai语言模型",
                               "我是一个人工智能",
                               "我只是一个语言模型"};
constexpr std::array kAtTheBeginning{"i'm sorry, but i can",
                                     "i'm sorry, i can",
                                     "i am sorry, but i can",
                                     "i am sorry, i can",
                                     "sorry, but i can",
                                     "sorry, i can",
                                     "i apologize, but i can",
                                     "i'm unable to",
                                     "i am unable to",
                                     "i cannot fulfill",
                                     "i can't fulfill",
                                     "i cannot assist",
                                     "i can't assist",
                                     "i cannot help with",
                                     "i can't help with",
                                     "抱歉，我无法",
                                     "抱歉，我不能",
                                     "很抱歉，我无法",
                                     "很抱歉，我不能",
                                     "非常抱歉，我无法",
                                     "对不起，我无法",
                                     "对不起，我不能",
                                     "抱歉,我无法",
                                     "很抱歉,我无法",
                                     "对不起,我无法",
                                     "对不起,我不能",
                                     "我无法回答",
                                     "我不能回答"};

std::string plain(std::string_view text) {
  auto out = jinja::lower(jinja::strip(text));
  constexpr std::string_view kCurly = "’";
  for (auto at = out.find(kCurly); at != out.npos; at = out.find(kCurly, at)) out.replace(at, kCurly.size(), "'");
  return out;
}

std::int64_t length_of(std::string_view text) { return std::ssize(metric_tokens(text, TextTokens::kByLanguage)); }

std::optional<Rejection> beyond(std::int64_t length, std::int64_t shortest, std::int64_t longest) {
  if (length < shortest) return Rejection::kTooShort;
  if (longest > 0 && length > longest) return Rejection::kTooLong;
  return std::nullopt;
}

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool has_word(std::string_view text, std::string_view word) {
  const bool latin = std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const auto end = at + word.size();
    if (!latin || ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end])))) return true;
  }
  return false;
}

}  // namespace

const char* name(Rejection rejection) {
  return std::ranges::find(kRejections, rejection, &std::pair<Rejection, const char*>::first)->second;
}

std::string told(const RejectionCounts& counts) {
  std::vector<std::string> parts;
  for (const auto& [rejection, count] : counts)
    if (count > 0) parts.push_back(fmt::format("{} {}", with_thousands(count), name(rejection)));
  return parts.empty() ? "none" : join(parts);
}

bool refuses(std::string_view answer) {
  const auto text = plain(answer);
  return std::ranges::any_of(kAnywhere, [&](const char* phrase) { return text.find(phrase) != text.npos; }) ||
         std::ranges::any_of(kAtTheBeginning, [&](const char* phrase) { return text.starts_with(phrase); });
}

std::string forbidden_word(std::string_view text, const std::vector<std::string>& words) {
  const auto lower = jinja::lower(text);
  const auto found = std::ranges::find_if(words, [&](const std::string& word) { return has_word(lower, jinja::lower(word)); });
  return found == words.end() ? "" : *found;
}

std::optional<Rejection> screen_question(const Turn& turn, const LengthBounds& bounds) {
  if (jinja::strip(turn.text).empty() && jinja::strip(turn.input).empty()) return Rejection::kMalformed;
  return beyond(length_of(turn.text), bounds.shortest_instruction, bounds.longest_instruction);
}

std::optional<Rejection> screen_answer(std::string_view answer, const LengthBounds& bounds) {
  if (jinja::strip(answer).empty()) return Rejection::kMalformed;
  if (refuses(answer)) return Rejection::kRefused;
  return beyond(length_of(answer), bounds.shortest_output, bounds.longest_output);
}

std::optional<Rejection> screen(const Record& record, const LengthBounds& bounds) {
  bool asked = false, answered = false;
  for (const auto& turn : record.turns) {
    std::optional<Rejection> found;
    // Of a conversation the first question alone has a length to keep: later ones may be a "Why?".
    if (turn.role == Role::kUser && !std::exchange(asked, true)) found = screen_question(turn, bounds);
    if (turn.role == Role::kAssistant) {
      found = screen_answer(turn.text, bounds);
      answered = true;
    }
    if (found) return found;
  }
  return asked && answered ? std::nullopt : std::optional(Rejection::kMalformed);
}

}  // namespace herd
