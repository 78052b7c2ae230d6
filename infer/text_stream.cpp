#include "infer/text_stream.h"

#include <algorithm>

namespace herd {

// The decoder sees the prompt first, for a token's text depends on what stands before it: SentencePiece drops a text's first space, and
// the answer " Paris" begins inside a text, not a new one.
TextStream::TextStream(const Tokenizer& tokenizer, std::span<const TokenId> prompt, std::vector<std::string> stops,
                       std::function<std::string(std::string_view)> output)
    : decoder_(tokenizer), stops_(std::move(stops)), output_(std::move(output)), prompt_bytes_(tokenizer.decode(prompt, true).size()) {
  for (const auto id : prompt) prompt_bytes_ -= decoder_.push(id).size();
}

std::string TextStream::push(TokenId id) { return show(stops_.push(without_prompt(decoder_.push(id)))); }

std::string TextStream::finish() {
  const auto rest = decoder_.finish();
  auto text = show(stops_.push(without_prompt(rest)));
  text += show(stops_.finish());
  return text;
}

std::string_view TextStream::without_prompt(std::string_view text) {
  const auto cut = std::min(prompt_bytes_, text.size());
  prompt_bytes_ -= cut;
  return text.substr(cut);
}

std::string TextStream::show(std::string_view text) {
  written_ += text;
  if (!output_) {
    shown_ += text;
    return std::string(text);
  }
  if (text.empty()) return {};
  const auto cleaned = output_(written_);
  if (!cleaned.starts_with(shown_)) return {};  // the template waits for more before it can tell
  auto more = cleaned.substr(shown_.size());
  shown_ += more;
  return more;
}

}  // namespace herd
