#include "data/text_blocks.h"

#include <algorithm>

namespace herd {

void TextBlocks::add(const Example& document) {
  for (std::size_t at = 0; at < document.tokens.size();) {
    if (row_.tokens.empty()) row_.source = document.source;
    const auto room = static_cast<std::size_t>(max_tokens_) - row_.tokens.size();
    const auto end = std::min(at + room, document.tokens.size());
    row_.tokens.insert(row_.tokens.end(), document.tokens.begin() + static_cast<std::ptrdiff_t>(at), document.tokens.begin() + static_cast<std::ptrdiff_t>(end));
    at = end;
    if (row_.length() == max_tokens_) give();
  }
}

void TextBlocks::finish() {
  if (row_.length() > 1) give();
  row_ = {};
}

void TextBlocks::give() {
  row_.supervised.assign(row_.tokens.size(), 1);
  row_.supervised[0] = 0;
  row_.supervised_tokens = row_.length() - 1;
  take_(std::move(row_));
  row_ = {};
}

}  // namespace herd
