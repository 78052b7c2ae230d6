#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/chat_messages.h"

namespace herd {

/// A stretch of a rendered conversation: the template's own words, or a text of the record.
struct ChatStretch {
  std::string text;
  std::optional<std::size_t> mark{};  ///< of ChatMessages::marks
  std::size_t begin = 0;              ///< within the whole text, in bytes
  std::size_t end() const { return begin + text.size(); }
};

/// What of `plain` is the template's and what the record's, told by the same conversation rendered with marks. A text may come out without
/// its white space at the ends, or quoted as in JSON.
/// @return nothing where the two differ in more: the template looked into the texts.
std::optional<std::vector<ChatStretch>> aligned(std::string_view plain, std::string_view marked, const std::vector<ChatMark>& marks);

}  // namespace herd
