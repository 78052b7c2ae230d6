#include "data/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "data/tokenizer/utf8.h"

namespace herd {
namespace {

constexpr TokenId kNoToken = -1;
constexpr std::int64_t kGreatestId = 1 << 26;     // a wild id would make a table of gigabytes
constexpr std::size_t kCachedWordBytes = 256;     // longer words hardly ever come again
constexpr std::size_t kCachedWordsInShard = 4096;

// A symbol of the word while it is merged: a doubly linked list in a vector.
struct Symbol {
  TokenId id;
  std::int32_t previous, next;  // indices, −1 at the ends
  bool alive = true;
};

struct Candidate {
  std::uint32_t rank;
  std::int32_t position;  // index of the left symbol
  TokenId merged;
};

// The heap's top is the lowest rank, the leftmost among equals.
bool later(const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.position > b.position; }

class Merger {
 public:
  Merger(const MergeTable& merges, std::vector<TokenId>& ids) : merges_(merges), ids_(ids) {}

  void run() {
    const auto count = static_cast<std::int32_t>(ids_.size());
    word_.reserve(ids_.size());
    for (std::int32_t i = 0; i < count; ++i) word_.push_back({.id = ids_[i], .previous = i - 1, .next = i + 1 < count ? i + 1 : -1});
    for (std::int32_t i = 0; i + 1 < count; ++i) consider(i);
    std::make_heap(heap_.begin(), heap_.end(), later);
    heaped_ = true;
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      const auto top = heap_.back();
      heap_.pop_back();
      apply(top);
    }
    ids_.clear();
    for (std::int32_t i = 0; i != -1; i = word_[i].next) ids_.push_back(word_[i].id);
  }

 private:
  void consider(std::int32_t position) {
    const auto& left = word_[position];
    const auto* merge = merges_.find(left.id, word_[left.next].id);
    if (!merge) return;
    heap_.push_back({merge->rank, position, merge->merged});
    if (heaped_) std::push_heap(heap_.begin(), heap_.end(), later);
  }

  // Candidates are not taken back when a neighbour changes: one that no longer fits is stale and passed over.
  void apply(const Candidate& top) {
    auto& left = word_[top.position];
    if (!left.alive || left.next == -1) return;
    auto& right = word_[left.next];
    const auto* merge = merges_.find(left.id, right.id);
    if (!merge || merge->merged != top.merged) return;
    left.id = top.merged;
    right.alive = false;
    left.next = right.next;
    if (left.next != -1) word_[left.next].previous = top.position;
    if (left.previous != -1) consider(left.previous);
    if (left.next != -1) consider(top.position);
  }

  const MergeTable& merges_;
  std::vector<TokenId>& ids_;
  std::vector<Symbol> word_;
  std::vector<Candidate> heap_;
  bool heaped_ = false;
};

std::size_t merge_count(const JsonNode& model) {
  const auto merges = model.at("merges");
  if (!merges.value().is_array()) merges.complain(fmt::format("a JSON {}", merges.value().type_name()), "a list of merges");
  return merges.value().size();
}

}  // namespace

MergeTable::MergeTable(std::size_t expected) : slots_(std::bit_ceil(expected * 2 + 2)), mask_(slots_.size() - 1) {}

std::size_t MergeTable::slot(std::uint64_t key) const {
  auto at = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ULL) >> 32) & mask_;  // Fibonacci hashing
  while (slots_[at].key != key && slots_[at].key != ~std::uint64_t{0}) at = (at + 1) & mask_;
  return at;
}

void MergeTable::set(TokenId left, TokenId right, Merge merge) {
  const auto key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  slots_[slot(key)] = {key, merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const auto& found = slots_[slot(static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right))];
  return found.key == ~std::uint64_t{0} ? nullptr : &found.merge;
}

Bpe::Bpe(const JsonNode& model)
    : merges_(merge_count(model)),
      prefix_(model.text_or("continuing_subword_prefix", "")),
      suffix_(model.text_or("end_of_word_suffix", "")),
      fuse_unk_(model.boolean_or("fuse_unk", false)),
      byte_fallback_(model.boolean_or("byte_fallback", false)),
      ignore_merges_(model.boolean_or("ignore_merges", false)) {
  if (model.has("dropout") && model.at("dropout").value() != 0.0)
    model.at("dropout").complain(model.at("dropout").value().dump(), "null: random merges would make ids that depend on chance");
  read_vocabulary(model.at("vocab"));
  read_merges(model.at("merges"));
  for (int byte = 0; byte < 256; ++byte) byte_tokens_[byte] = id(fmt::format("<0x{:02X}>", byte)).value_or(kNoToken);
  if (!model.has("unk_token")) return;
  const auto unk = model.at("unk_token");
  unk_ = id(unk.text());
  if (!unk_) unk.complain("'" + unk.text() + "' is not in the vocabulary", "a token of the vocabulary");
}

void Bpe::read_vocabulary(const JsonNode& vocabulary) {
  if (!vocabulary.value().is_object())
    vocabulary.complain(fmt::format("a JSON {}", vocabulary.value().type_name()), "an object: token to id");
  vocabulary_.reserve(vocabulary.value().size());
  by_code_point_.assign(0x10000, kNoToken);
  for (const auto& [token, value] : vocabulary.value().items()) {
    const auto number = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (number < 0 || number >= kGreatestId)
      vocabulary.complain(fmt::format("token '{}' has the id {}", token, value.dump()), fmt::format("an id from 0 to {}", kGreatestId - 1));
    const auto entry = vocabulary_.emplace(token, static_cast<TokenId>(number)).first;
    if (names_.size() <= static_cast<std::size_t>(number)) names_.resize(static_cast<std::size_t>(number) + 1, nullptr);
    names_[static_cast<std::size_t>(number)] = &entry->first;
    std::size_t at = 0;
    const auto first = token.empty() ? 0x10000 : next_code_point(token, at);
    if (first < 0x10000 && at == token.size()) by_code_point_[first] = static_cast<TokenId>(number);
  }
}

void Bpe::read_merges(const JsonNode& merges) {
  std::uint32_t rank = 0;
  for (const auto& merge : merges.value()) {
    std::string left, right;
    const auto complain = [&](const std::string& found) {
      JsonNode(merge, fmt::format("{}[{}]", merges.place(), rank))
          .complain(found, "two tokens, as \"a b\" or [\"a\", \"b\"]",
                    "the file may have been written by a broken converter: take the model's own");
    };
    if (merge.is_string()) {
      const auto& pair = merge.get_ref<const std::string&>();
      const auto space = pair.find(' ');
      if (space == std::string::npos || pair.find(' ', space + 1) != std::string::npos) complain(fmt::format("the merge '{}'", pair));
      left = pair.substr(0, space);
      right = pair.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else {
      complain(fmt::format("the merge {}", merge.dump()));
    }
    const auto known = [&](const std::string& token) {
      const auto found = id(token);
      if (!found) complain(fmt::format("'{}' + '{}', but '{}' is not in the vocabulary", left, right, token));
      return *found;
    };
    const auto a = known(left), b = known(right);
    const auto tail = right.starts_with(prefix_) ? right.substr(prefix_.size()) : right;
    merges_.set(a, b, {.rank = rank++, .merged = known(left + tail)});
  }
}

std::optional<TokenId> Bpe::id(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Bpe::token(TokenId id) const {
  return id < 0 || static_cast<std::size_t>(id) >= names_.size() ? nullptr : names_[static_cast<std::size_t>(id)];
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  if (word.size() > kCachedWordBytes) return encode_uncached(word, out);
  auto& shard = cache_[StringHash{}(word) >> 7 & (cache_.size() - 1)];
  {
    const std::lock_guard guard(shard.lock);
    if (const auto hit = shard.words.find(word); hit != shard.words.end()) {
      out.insert(out.end(), hit->second.begin(), hit->second.end());
      return;
    }
  }
  const auto start = out.size();
  encode_uncached(word, out);
  const std::lock_guard guard(shard.lock);
  if (shard.words.size() < kCachedWordsInShard)
    shard.words.try_emplace(std::string(word), out.begin() + static_cast<std::ptrdiff_t>(start), out.end());
}

void Bpe::encode_uncached(std::string_view word, std::vector<TokenId>& out) const {
  if (ignore_merges_) {
    if (const auto whole = id(word)) {
      out.push_back(*whole);
      return;
    }
  }
  std::vector<TokenId> ids;
  symbols(word, ids);
  if (ids.size() > 1) Merger(merges_, ids).run();
  out.insert(out.end(), ids.begin(), ids.end());
}

TokenId Bpe::symbol(std::string_view character, bool first, bool last) const {
  const bool plain = (first || prefix_.empty()) && (!last || suffix_.empty());
  if (plain) {
    std::size_t at = 0;
    const auto code_point = next_code_point(character, at);
    if (code_point < by_code_point_.size()) return by_code_point_[code_point];
    return id(character).value_or(kNoToken);
  }
  return id((first ? "" : prefix_) + std::string(character) + (last ? suffix_ : "")).value_or(kNoToken);
}

// A character that has no token becomes its byte tokens where all of them are there, else the unknown token, else nothing.
void Bpe::symbols(std::string_view word, std::vector<TokenId>& out) const {
  out.reserve(word.size());
  bool unknown = false;  // an unknown token waits, to be fused with the next
  const auto flush = [&] {
    if (unknown) out.push_back(*unk_);
    unknown = false;
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto start = at;
    next_code_point(word, at);
    const auto character = word.substr(start, at - start);
    if (const auto token = symbol(character, start == 0, at == word.size()); token != kNoToken) {
      flush();
      out.push_back(token);
      continue;
    }
    const auto byte_token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
    if (byte_fallback_ && std::all_of(character.begin(), character.end(), [&](char byte) { return byte_token(byte) != kNoToken; })) {
      for (const char byte : character) out.push_back(byte_token(byte));  // a waiting unknown token stays behind them, as there
      continue;
    }
    if (!unk_) continue;
    if (!fuse_unk_) flush();
    unknown = true;
  }
  flush();
}

}  // namespace herd
