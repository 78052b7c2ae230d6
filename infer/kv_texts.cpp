#include "infer/kv_texts.h"

#include <algorithm>

namespace herd {

KvTexts::KvTexts(const CausalLm& model, at::ScalarType dtype, at::Device device, std::size_t kept, bool int8)
    : model_(model), dtype_(dtype), device_(device), most_(kept), int8_(int8) {}

KvText KvTexts::begin(const std::vector<TokenId>& prompt, std::optional<std::size_t> adapter) {
  constexpr std::int64_t kWorthIt = 16;  // tokens; a new text costs as much
  auto best = ended_.end();
  std::int64_t shared = kWorthIt - 1;
  for (auto at = ended_.begin(); at != ended_.end() && !model_.facts.sees_ahead; ++at) {
    if (at->adapter != adapter) continue;
    const auto [mine, theirs] = std::mismatch(prompt.begin(), prompt.end() - 1, at->ids.begin(), at->ids.end());
    if (mine - prompt.begin() > shared) shared = mine - prompt.begin(), best = at;
  }
  const auto room = std::ssize(prompt);
  KvText text;
  if (best == ended_.end()) {
    reserve(text, room);
  } else if (2 * shared > std::ssize(best->ids)) {
    text = std::move(best->text);
    ended_.erase(best);
    text.length = virtual_tokens() + shared;
    reserve(text, room);
  } else {  // as of two chats with one system text: the other may come back for the rest
    text = beginning(best->text, shared, room);
    ended_.splice(ended_.begin(), ended_, best);
  }
  return text;
}

KvText KvTexts::copy(const KvText& text) const { return beginning(text, tokens(text), tokens(text) + 1); }

KvText KvTexts::beginning(const KvText& whole, std::int64_t tokens, std::int64_t room) const {
  KvText text;
  reserve(text, room);
  const auto held = side() + tokens;
  for (std::size_t layer = 0; layer < whole.keys.size(); ++layer) {
    text.keys[layer].copy_beginning(whole.keys[layer], held);
    text.values[layer].copy_beginning(whole.values[layer], held);
  }
  text.length = virtual_tokens() + tokens;
  text.prefix = whole.prefix;
  text.mark = whole.mark;
  return text;
}

void KvTexts::reserve(KvText& text, std::int64_t tokens) const {
  constexpr std::int64_t kChunk = 64;
  const auto capacity = text.keys.empty() ? 0 : text.keys.front().capacity() - side();
  if (tokens <= capacity) return;
  const auto wanted = std::max(tokens, capacity + capacity / 2);
  const auto grown = side() + std::max(tokens, std::min((wanted + kChunk - 1) / kChunk * kChunk, model_.facts.max_positions));
  const auto held = text.length == 0 ? 0 : side() + this->tokens(text);
  for (auto* both : {&text.keys, &text.values}) {
    both->resize(model_.blocks.size());
    for (auto& slab : *both) {
      KvSlab larger(grown, model_.facts.kv_heads, model_.facts.head_dim, at::dtype(dtype_).device(device_), int8_);
      if (held > 0) larger.copy_beginning(slab, held);
      slab = std::move(larger);
    }
  }
}

void KvTexts::end(KvText text, std::vector<TokenId> ids, std::optional<std::size_t> adapter) {
  if (most_ == 0 || text.length == 0 || model_.facts.sees_ahead) return;
  ids.resize(static_cast<std::size_t>(tokens(text)));
  ended_.push_front({std::move(text), std::move(ids), adapter});
  if (ended_.size() > most_) ended_.pop_back();
}

std::int64_t KvTexts::tokens(const KvText& text) const { return text.length == 0 ? 0 : text.length - virtual_tokens(); }

}  // namespace herd
