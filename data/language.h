#pragma once
#include <string>

#include "data/record.h"

namespace herd {

/// The language of a text by its letters, as the catalogue writes it: CN, JA, KO, RU, AR, or EN for Latin letters; "" without any letter. It tells
/// scripts apart, not the languages that share one.
std::string language_of_text(std::string_view text);

/// The record's own language, else that of its turns.
std::string language_of(const Record& record);

/// Characters (code points) of all turns together.
std::int64_t characters_of(const Record& record);

}  // namespace herd
