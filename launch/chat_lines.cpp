#include "launch/chat_lines.h"

#include <string_view>

namespace herd {
namespace {

constexpr std::string_view kBlock = "\"\"\"";

}  // namespace

ChatLine StreamLines::next(bool) {
  ChatLine line;
  if (!std::getline(in_, line.text)) return {.kind = ChatLine::Kind::kEnd, .text = {}};
  if (line.text.ends_with('\r')) line.text.pop_back();
  return line;
}

ChatLine read_message(LineSource& lines) {
  auto line = lines.next(false);
  if (line.kind != ChatLine::Kind::kText) return line;
  ChatLine message{.text = {}};
  const bool block = line.text.starts_with(kBlock);
  if (block) line.text.erase(0, kBlock.size());
  for (;;) {
    const bool ends = block ? line.text.ends_with(kBlock) : !line.text.ends_with('\\');
    if (block && ends) line.text.erase(line.text.size() - kBlock.size());
    if (!block && !ends) line.text.pop_back();
    message.text += line.text;
    if (ends) return message;
    // What stands on the line of the opening mark alone is no empty line of the block.
    if (!block || !message.text.empty()) message.text += '\n';
    line = lines.next(true);
    if (line.kind == ChatLine::Kind::kInterrupted) return line;
    if (line.kind == ChatLine::Kind::kEnd) return message;
  }
}

}  // namespace herd
