#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A map keyed by strings that is asked with string views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// (left id, right id) → (rank, merged id): open addressing, as merging asks it once or twice a symbol.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    TokenId merged;
  };
  explicit MergeTable(std::size_t expected);
  /// A later merge of the same pair replaces the earlier one.
  void set(TokenId left, TokenId right, Merge merge);
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key = ~std::uint64_t{0};
    Merge merge{};
  };
  std::size_t slot(std::uint64_t key) const;

  std::vector<Slot> slots_;
  std::size_t mask_;
};

/// Byte-pair encoding (Sennrich et al. 2016) of one word: its characters, merged lowest rank first, leftmost first among equals.
/// Thread-safe: words seen before are answered from a cache behind a lock a shard.
class Bpe {
 public:
  /// `model` of a tokenizer.json. @throws DataError naming file and place.
  explicit Bpe(const JsonNode& model);

  /// Appends the ids of `word` to `out`.
  void encode(std::string_view word, std::vector<TokenId>& out) const;

  std::optional<TokenId> id(std::string_view token) const;
  /// nullptr where there is no such id.
  const std::string* token(TokenId id) const;
  std::size_t tokens() const { return vocabulary_.size(); }
  /// The greatest id + 1.
  std::int64_t ids() const { return static_cast<std::int64_t>(names_.size()); }
  std::optional<TokenId> unk() const { return unk_; }

 private:
  struct Shard {
    std::mutex lock;
    StringMap<std::vector<TokenId>> words;
  };

  void read_vocabulary(const JsonNode& vocabulary);
  void read_merges(const JsonNode& merges);
  void encode_uncached(std::string_view word, std::vector<TokenId>& out) const;
  void symbols(std::string_view word, std::vector<TokenId>& out) const;
  TokenId symbol(std::string_view character, bool first, bool last) const;

  StringMap<TokenId> vocabulary_;
  std::vector<const std::string*> names_;  // by id; nullptr for a hole
  std::vector<TokenId> by_code_point_;     // one-character tokens of the basic plane, kNoToken else
  std::array<TokenId, 256> byte_tokens_;   // <0x00> … <0xFF>
  MergeTable merges_;
  std::string prefix_, suffix_;
  std::optional<TokenId> unk_;
  bool fuse_unk_, byte_fallback_, ignore_merges_;
  mutable std::array<Shard, 16> cache_;
};

}  // namespace herd
