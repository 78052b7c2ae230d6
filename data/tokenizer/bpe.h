#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/merges.h"
#include "data/tokenizer/word_cache.h"

namespace herd {

class JsonNode;

/// A map keyed by strings that is asked with string views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// What a byte-pair vocabulary is made of, whichever file it came from.
struct BpeModel {
  StringMap<TokenId> vocabulary;
  std::vector<Merge> merges;
  std::string prefix, suffix;  ///< of a word's later symbols, and of its last one
  std::optional<TokenId> unk;
  bool fuse_unk = false;       ///< one unknown token for a run of unknown characters
  bool byte_fallback = false;  ///< an unknown character becomes its <0xNN> tokens
  bool ignore_merges = false;  ///< a word that is a token as a whole is that token
};

/// An id that no table has room for makes a file unbelievable: a wild one would make a table of gigabytes.
inline constexpr std::int64_t kGreatestTokenId = 1 << 26;

/// `model` of a tokenizer.json. @throws DataError naming file and place.
BpeModel read_bpe_model(const JsonNode& model);
/// `vocab`: an object of token to id, at `vocabulary`. @throws DataError.
StringMap<TokenId> read_vocabulary(const JsonNode& vocabulary);

/// Byte-pair encoding (Sennrich et al. 2016) of one word: its characters, merged lowest rank first, leftmost first among equals.
/// Thread-safe: each Encoder works in memory of its own.
class Bpe {
 public:
  explicit Bpe(BpeModel model);

  class Encoder;
  /// For one thread, one text after the other; its memory (words seen, scratch) goes back for the next one.
  Encoder encoder() const;

  std::optional<TokenId> id(std::string_view token) const;
  /// nullptr where there is no such id.
  const std::string* token(TokenId id) const;
  std::size_t tokens() const { return model_.vocabulary.size(); }
  /// The greatest id + 1.
  std::int64_t ids() const { return static_cast<std::int64_t>(names_.size()); }
  std::optional<TokenId> unk() const { return model_.unk; }

 private:
  struct Scratch {
    WordCache cache;
    Merger merger;
    std::vector<TokenId> symbols;
    std::vector<std::size_t> starts;  // of each symbol, in the word's bytes
    bool in_order = true;             // starts are
    std::string mapped;
  };

  void encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void encode_bytes(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void merge_runs(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void symbols(std::string_view word, Scratch& scratch) const;
  TokenId symbol(std::string_view character, bool first, bool last) const;
  void fill_joins();

  BpeModel model_;
  std::vector<const std::string*> names_;  // by id; nullptr for a hole
  std::vector<TokenId> by_code_point_;     // one-character tokens of the basic plane, kNoToken else
  std::array<TokenId, 256> byte_tokens_;   // <0x00> … <0xFF>
  std::array<TokenId, 256> byte_symbols_;  // of the byte alphabet's characters
  bool all_bytes_ = false;                 // the byte alphabet is there as a whole
  MergeTable merges_;
  JoinFilter joins_;
  bool cuts_ = false;  // joins_ may cut words
  mutable std::mutex lock_;
  mutable std::vector<std::unique_ptr<Scratch>> spare_;
};

class Bpe::Encoder {
 public:
  Encoder(const Bpe& bpe, std::unique_ptr<Scratch> scratch) : bpe_(&bpe), scratch_(std::move(scratch)) {}
  Encoder(Encoder&&) = default;
  Encoder& operator=(Encoder&&) = delete;
  ~Encoder();

  /// Appends the ids of `word` to `out`.
  void encode(std::string_view word, std::vector<TokenId>& out) { bpe_->encode(word, *scratch_, out); }
  /// The same for a word given as its bytes, where the vocabulary is one of the byte alphabet (`byte_characters`).
  void encode_bytes(std::string_view word, std::vector<TokenId>& out) { bpe_->encode_bytes(word, *scratch_, out); }

 private:
  const Bpe* bpe_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace herd
