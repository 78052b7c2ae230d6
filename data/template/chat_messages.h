#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"

namespace herd {

/// A text of a record within a chat template's messages, and the character of Unicode's private use that stands for it.
struct ChatMark {
  std::string text, mark;
  std::size_t message = 0;
  std::int32_t turn = -1;  ///< of the record; −1: the system text
};

/// A message of the model, or of somebody else.
struct ChatMessage {
  nlohmann::ordered_json plain, marked;  ///< as transformers' apply_chat_template takes them; the second with marks in place of the record's texts
  bool model = false;
  bool composite = false;  ///< a call, or an answer with what was thought before: its text begins before its first mark
};

/// A record as messages: {"role": system, user, assistant or tool, "content": …}. A call whose text is JSON ({"name", "arguments"}, OpenAI's
/// tool_calls, or a list of such) becomes `tool_calls`, another one content; what is thought before a call is its message's content, before
/// an answer its `reasoning_content`. A tool's answer has the `name` and `tool_call_id` of its call, as far as known.
struct ChatMessages {
  std::vector<ChatMessage> messages;
  std::vector<ChatMark> marks;
};

/// @param turns how many of the record's. @param template_text whose own characters no mark may be.
/// @throws DataError for more thoughts before an answer than a message has places for.
ChatMessages chat_messages(const Record& record, std::size_t turns, std::string_view template_text);

}  // namespace herd
