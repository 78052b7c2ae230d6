#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Words seen lately and their ids: a table of fixed size, two places a word, the older of them gives way. For one thread.
class WordCache {
 public:
  static constexpr std::size_t kWordBytes = 31, kIds = 7;

  /// A word of at most kWordBytes bytes as the cache knows it.
  struct Key {
    std::array<std::uint64_t, 4> bytes;  // zeros behind the word, its length in the last byte
    std::size_t slot;
  };
  static bool fits(std::string_view word) { return word.size() <= kWordBytes; }

  WordCache() : slots_(kSlots) {}

  Key key(std::string_view word) const {
    Key key{};
    std::memcpy(key.bytes.data(), word.data(), word.size());
    key.bytes[3] |= static_cast<std::uint64_t>(word.size()) << 56;
    auto mixed = key.bytes[0] * 0x9E3779B97F4A7C15ULL;
    mixed = ((mixed ^ mixed >> 32) + key.bytes[1]) * 0xC2B2AE3D27D4EB4FULL;
    mixed = ((mixed ^ mixed >> 29) + key.bytes[2]) * 0x165667B19E3779F9ULL;
    mixed = ((mixed ^ mixed >> 32) + key.bytes[3]) * 0x9E3779B97F4A7C15ULL;
    key.slot = static_cast<std::size_t>(mixed >> 40) & (kSlots - 1);
    return key;
  }

  /// Appends the word's ids where it is known.
  bool find(const Key& key, std::vector<TokenId>& out) const {
    for (const auto at : {key.slot, key.slot ^ 1}) {
      const auto& slot = slots_[at];
      if (slot.bytes != key.bytes) continue;
      out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
      return true;
    }
    return false;
  }

  void put(const Key& key, const TokenId* ids, std::size_t count) {
    if (count > kIds) return;
    auto& slot = slots_[key.slot];
    slots_[key.slot ^ 1] = slot;
    slot.bytes = key.bytes;
    slot.count = static_cast<std::uint32_t>(count);
    std::copy_n(ids, count, slot.ids.begin());
  }

 private:
  static constexpr std::size_t kSlots = 1 << 15;
  struct alignas(64) Slot {
    std::array<std::uint64_t, 4> bytes{};  // all zero: the empty word, which nobody asks for
    std::uint32_t count = 0;
    std::array<TokenId, kIds> ids{};
  };
  std::vector<Slot> slots_;
};

}  // namespace herd
