#pragma once
#include <cstdint>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Two tokens that become one; the lowest rank goes first.
struct Merge {
  TokenId left, right, merged;
  std::uint32_t rank;
};

/// (left id, right id) → (rank, merged id): open addressing, as merging asks it once or twice a symbol.
class MergeTable {
 public:
  struct Entry {
    std::uint32_t rank;
    TokenId merged;
  };
  explicit MergeTable(std::size_t expected);
  /// A later merge of the same pair replaces the earlier one.
  void set(const Merge& merge);
  const Entry* find(TokenId left, TokenId right) const {
    const auto& found = slots_[slot(key_of(left, right))];
    return found.key == kEmpty ? nullptr : &found.entry;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    Entry entry{};
  };
  static std::uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t slot(std::uint64_t key) const {
    auto at = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ULL) >> 32) & mask_;  // Fibonacci hashing
    while (slots_[at].key != key && slots_[at].key != kEmpty) at = (at + 1) & mask_;
    return at;
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
};

/// Pairs of symbols that some merge may join, as a hashed set of bits: never says no wrongly. Between two symbols that no merge joins
/// a text may be cut, and its parts merged apart from each other, to the same result.
class JoinFilter {
 public:
  /// @param pairs about how many will be set.
  explicit JoinFilter(std::size_t pairs);
  void set(TokenId left, TokenId right);
  bool may_join(TokenId left, TokenId right) const {
    const auto bit = bit_of(left, right);
    return (words_[bit >> 6] >> (bit & 63) & 1) != 0;
  }

 private:
  std::size_t bit_of(TokenId left, TokenId right) const {
    const auto mixed = (static_cast<std::uint64_t>(left) * 0x9E3779B97F4A7C15ULL) ^
                       (static_cast<std::uint64_t>(right) * 0xC2B2AE3D27D4EB4FULL);
    return static_cast<std::size_t>(mixed >> 20) & mask_;
  }

  std::vector<std::uint64_t> words_;
  std::size_t mask_;
};

/// Merges symbols: lowest rank first, the leftmost among equals. Keeps its memory from one run to the next; for one thread.
class Merger {
 public:
  /// Appends what `symbols` become to `out`.
  void run(const MergeTable& merges, const TokenId* symbols, std::size_t count, std::vector<TokenId>& out);

 private:
  // A symbol while the run is merged: a doubly linked list in a vector.
  struct Symbol {
    TokenId id;
    std::int32_t previous, next;  // indices, −1 at the ends
    bool alive;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t position;  // index of the left symbol
    TokenId merged;
  };

  void run_short(const MergeTable& merges, const TokenId* symbols, std::size_t count, std::vector<TokenId>& out);
  bool consider(const MergeTable& merges, std::int32_t position);
  void apply(const MergeTable& merges, const Candidate& top);
  void push_last();
  static bool later(const Candidate& a, const Candidate& b);

  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

}  // namespace herd
