#include "data/template/form.h"

#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

void require_slot(const std::string& name, std::string_view form) {
  const auto& known = slots();
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  const auto close = nearest(name, known);
  throw ConfigError({.who = "'" + std::string(form) + "'",
                     .found = "an undefined slot {" + name + "}",
                     .expected = "one of " + join(known),
                     .remedy = close.empty() ? "to write the braces themselves: {{" + name + "}" : "did you mean {" + close + "}?"});
}

}  // namespace

const std::vector<std::string>& slots() {
  static const std::vector<std::string> names{"text", "input", "system", "category", "round", "bos", "eos"};
  return names;
}

Form::Form(std::string_view text) {
  std::string words;
  const auto end_words = [&] {
    if (!words.empty()) parts_.push_back({std::exchange(words, {}), false});
  };
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with("{{")) {
      words += '{';
      at += 2;
      continue;
    }
    const auto close = text[at] == '{' ? text.find('}', at) : text.npos;
    const auto name = close == text.npos ? std::string_view() : text.substr(at + 1, close - at - 1);
    if (!is_name(name)) {
      words += text[at++];
      continue;
    }
    require_slot(std::string(name), text);
    end_words();
    parts_.push_back({std::string(name), true});
    at = close + 1;
  }
  end_words();
}

bool Form::has(std::string_view slot) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) { return part.is_slot && part.text == slot; });
}

}  // namespace herd
