#include "data/tokenizer/tokenizer.h"

namespace herd {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::string StreamDecoder::push(TokenId id) {
  const auto role = tokenizer_->role(id);
  if (role == TokenRole::kNone || role == TokenRole::kSpecial) return {};
  window_.push_back(id);
  // A run of byte tokens decodes as one: its first bytes are known only when it has ended.
  return role == TokenRole::kByte ? std::string() : release(false);
}

std::string StreamDecoder::finish() {
  auto rest = window_.empty() ? std::string() : release(true);
  window_.clear();
  context_ = released_bytes_ = 0;
  return rest;
}

// Decodes the window, whose start is context: text next to a cut may depend on what stood before it (blanks at the very start are dropped).
std::string StreamDecoder::release(bool all) {
  const auto text = tokenizer_->decode(window_, true);
  auto ready = text.size();
  const bool open = !all && text.ends_with(kReplacement);  // perhaps a character whose other bytes are to come
  if (open) ready -= kReplacement.size();
  std::string out;
  if (ready > released_bytes_) {
    out = text.substr(released_bytes_, ready - released_bytes_);
    released_bytes_ = ready;
  }
  if (open || out.empty()) return out;
  const std::span settled(window_.begin() + static_cast<std::ptrdiff_t>(context_), window_.end());
  if (const auto bytes = tokenizer_->decode(settled, true).size(); bytes > 0) {
    window_.assign(settled.begin(), settled.end());
    context_ = window_.size();
    released_bytes_ = bytes;
  }
  return out;
}

}  // namespace herd
