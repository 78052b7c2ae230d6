#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/record.h"

namespace herd {

/// Which records count as one: none, those of the same content, those of nearly the same.
enum class Deduplicate { kOff, kExact, kNear };

/// What a record is known by again.
struct RecordKey {
  static constexpr std::size_t kHashes = 128;
  std::string content;                           ///< fingerprint of content_of()
  std::uint64_t question = 0;                    ///< of what it asks first, whatever is answered: which side of a split it stands on
  std::array<std::uint32_t, kHashes> sketch{};   ///< MinHash of its text (Broder 1997), filled in for kNear
};

/// @param sketch whether to fill in the sketch, which costs some 50 microseconds a thousand characters. Pure.
RecordKey key_of(const Record& record, bool sketch);

/// The share of five-character pieces that two texts have in common, as far as their sketches tell: within 0.05 most of the time.
double likeness(const RecordKey& a, const RecordKey& b);

/// The records seen so far. Near ones are found by bands of their sketches (locality-sensitive hashing; Leskovec, Rajaraman, Ullman, "Mining of
/// massive datasets", section 3.4): of pairs whose sketches agree in 0.8, one in 20,000 is missed.
class SeenRecords {
 public:
  /// @param likeness from which on two records are one, for kNear.
  explicit SeenRecords(Deduplicate how, double likeness = 0.8) : how_(how), likeness_(likeness) {}
  /// An earlier record that counts as the same one.
  struct Like {
    std::uint32_t number = 0;  ///< of the one that stayed: how many were remembered before it
    bool exact = false;        ///< a record of this very content was seen
  };
  /// The record that this one is like; else it is remembered.
  std::optional<Like> earlier(const RecordKey& key);
  bool before(const RecordKey& key) { return earlier(key).has_value(); }

 private:
  static constexpr std::size_t kBands = 25, kRows = 5;
  std::optional<std::uint32_t> near_earlier(const RecordKey& key);

  Deduplicate how_;
  double likeness_;
  std::unordered_map<std::string, std::uint32_t> contents_;  // of all that were seen, with the number of the one that stayed
  std::uint32_t remembered_ = 0;
  std::vector<RecordKey> kept_;
  std::array<std::unordered_map<std::uint64_t, std::vector<std::uint32_t>>, kBands> bands_;
};

}  // namespace herd
