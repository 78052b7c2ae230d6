#pragma once
#include <span>
#include <string_view>

namespace herd::demo {

/// A word in both languages.
struct Word {
  std::string_view en, cn;
};

/// Words of one kind; the plural names the kind in a question ("three animals").
struct Kind {
  Word one, many;
  std::span<const Word> words;
};

/// Something everybody knows, as a question and its answer.
struct Fact {
  Word question, answer;
};

std::span<const Kind> kinds();
std::span<const Word> names();    ///< of people
std::span<const Word> colours();
std::span<const Word> things();   ///< that have any colour
std::span<const Word> foods();    ///< in English with no article
std::span<const Word> places();   ///< with the article
std::span<const Fact> facts();

}  // namespace herd::demo
