#include "data/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

constexpr TokenId kNoToken = -1;

std::string_view first_character(std::string_view text) {
  std::size_t at = 0;
  next_code_point(text, at);
  return text.substr(0, at);
}

std::string_view last_character(std::string_view text) {
  auto start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return text.substr(start);
}

}  // namespace

Bpe::Bpe(BpeModel model)
    : model_(std::move(model)), by_code_point_(0x10000, kNoToken), merges_(model_.merges.size()), joins_(model_.merges.size()) {
  for (const auto& [token, id] : model_.vocabulary) {
    if (names_.size() <= static_cast<std::size_t>(id)) names_.resize(static_cast<std::size_t>(id) + 1, nullptr);
    names_[static_cast<std::size_t>(id)] = &token;
    std::size_t at = 0;
    const auto first = token.empty() ? 0x10000 : next_code_point(token, at);
    if (first < 0x10000 && at == token.size()) by_code_point_[first] = id;
  }
  for (int byte = 0; byte < 256; ++byte) {
    byte_tokens_[byte] = id(fmt::format("<0x{:02X}>", byte)).value_or(kNoToken);
    byte_symbols_[byte] = id(byte_characters()[static_cast<std::size_t>(byte)]).value_or(kNoToken);
  }
  all_bytes_ = std::find(byte_symbols_.begin(), byte_symbols_.end(), kNoToken) == byte_symbols_.end();
  for (const auto& merge : model_.merges) merges_.set(merge);
  fill_joins();
  model_.merges = {};
}

// Which neighbouring symbols a merge may join: the last one of its left token and the first one of its right token. A token that
// is there for an unknown character (a byte token, say) stands for itself.
void Bpe::fill_joins() {
  cuts_ = model_.prefix.empty() && model_.suffix.empty() && !model_.ignore_merges;
  if (!cuts_) return;
  for (const auto& merge : model_.merges) {
    const TokenId lefts[] = {merge.left, symbol(last_character(*token(merge.left)), true, true)};
    const TokenId rights[] = {merge.right, symbol(first_character(*token(merge.right)), true, true)};
    for (const auto left : lefts)
      for (const auto right : rights) joins_.set(left, right);
  }
}

std::optional<TokenId> Bpe::id(std::string_view token) const {
  const auto found = model_.vocabulary.find(token);
  return found == model_.vocabulary.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Bpe::token(TokenId id) const {
  return id < 0 || static_cast<std::size_t>(id) >= names_.size() ? nullptr : names_[static_cast<std::size_t>(id)];
}

Bpe::Encoder Bpe::encoder() const {
  {
    const std::lock_guard guard(lock_);
    if (!spare_.empty()) {
      auto scratch = std::move(spare_.back());
      spare_.pop_back();
      return {*this, std::move(scratch)};
    }
  }
  return {*this, std::make_unique<Scratch>()};
}

Bpe::Encoder::~Encoder() {
  if (!scratch_) return;
  const std::lock_guard guard(bpe_->lock_);
  bpe_->spare_.push_back(std::move(scratch_));
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  const bool known = WordCache::fits(word);
  WordCache::Key key;
  if (known && scratch.cache.find(key = scratch.cache.key(word), out)) return;
  const auto start = out.size();
  const auto whole = model_.ignore_merges ? id(word) : std::nullopt;
  if (whole) {
    out.push_back(*whole);
  } else {
    symbols(word, scratch);
    merge_runs(word, scratch, out);
  }
  if (known) scratch.cache.put(key, out.data() + start, out.size() - start);
}

void Bpe::encode_bytes(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  const bool known = WordCache::fits(word);
  WordCache::Key key;
  if (known && scratch.cache.find(key = scratch.cache.key(word), out)) return;
  const auto start = out.size();
  if (model_.ignore_merges || !all_bytes_ || !cuts_) {
    auto& mapped = scratch.mapped;
    mapped.clear();
    for (const char byte : word) mapped += byte_characters()[static_cast<unsigned char>(byte)];
    if (const auto whole = model_.ignore_merges ? id(mapped) : std::nullopt) {
      out.push_back(*whole);
    } else {
      symbols(mapped, scratch);
      scratch.merger.run(merges_, scratch.symbols.data(), scratch.symbols.size(), out);
    }
  } else {
    scratch.symbols.resize(word.size());
    for (std::size_t i = 0; i < word.size(); ++i) scratch.symbols[i] = byte_symbols_[static_cast<unsigned char>(word[i])];
    scratch.merger.run(merges_, scratch.symbols.data(), word.size(), out);
  }
  if (known) scratch.cache.put(key, out.data() + start, out.size() - start);
}

// A text that no pre-tokenizer split is cut where no merge can join, and its runs are looked up as words are.
void Bpe::merge_runs(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  const auto& symbols = scratch.symbols;
  for (std::size_t at = 0; at < symbols.size();) {
    auto stop = at + 1;
    while (stop < symbols.size() && (!cuts_ || joins_.may_join(symbols[stop - 1], symbols[stop]))) ++stop;
    const auto count = stop - at;
    if (count == 1) {
      out.push_back(symbols[at]);
    } else {
      const auto end = stop < symbols.size() ? scratch.starts[stop] : word.size();
      const auto run = word.substr(scratch.starts[at], end - scratch.starts[at]);
      const bool known = scratch.in_order && WordCache::fits(run) && count < symbols.size();
      WordCache::Key key;
      if (!known || !scratch.cache.find(key = scratch.cache.key(run), out)) {
        const auto start = out.size();
        scratch.merger.run(merges_, symbols.data() + at, count, out);
        if (known) scratch.cache.put(key, out.data() + start, out.size() - start);
      }
    }
    at = stop;
  }
}

TokenId Bpe::symbol(std::string_view character, bool first, bool last) const {
  const bool plain = (first || model_.prefix.empty()) && (!last || model_.suffix.empty());
  if (plain) {
    std::size_t at = 0;
    const auto code_point = next_code_point(character, at);
    if (code_point < by_code_point_.size()) return by_code_point_[code_point];
    return id(character).value_or(kNoToken);
  }
  return id((first ? "" : model_.prefix) + std::string(character) + (last ? model_.suffix : "")).value_or(kNoToken);
}

// A character that has no token becomes its byte tokens where all of them are there, else the unknown token, else nothing.
void Bpe::symbols(std::string_view word, Scratch& scratch) const {
  auto& out = scratch.symbols;
  auto& starts = scratch.starts;
  out.clear();
  starts.clear();
  scratch.in_order = true;
  bool unknown = false;  // an unknown token waits, to be fused with the next
  std::size_t unknown_at = 0;
  const auto push = [&](TokenId symbol, std::size_t at) {
    out.push_back(symbol);
    starts.push_back(at);
  };
  const auto flush = [&] {
    if (unknown) push(*model_.unk, unknown_at);
    unknown = false;
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto start = at;
    next_code_point(word, at);
    const auto character = word.substr(start, at - start);
    if (const auto token = symbol(character, start == 0, at == word.size()); token != kNoToken) {
      flush();
      push(token, start);
      continue;
    }
    const auto byte_token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
    if (model_.byte_fallback && std::all_of(character.begin(), character.end(), [&](char byte) { return byte_token(byte) != kNoToken; })) {
      for (std::size_t i = 0; i < character.size(); ++i) push(byte_token(character[i]), start + i);
      scratch.in_order = scratch.in_order && !unknown;  // a waiting unknown token stays behind them, as there
      continue;
    }
    if (!model_.unk) continue;
    if (!model_.fuse_unk) flush();
    if (!unknown) unknown_at = start;
    unknown = true;
  }
  flush();
}

}  // namespace herd
