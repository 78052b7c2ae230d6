#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A token that stands outside the model's merging: found in the text as a whole.
struct AddedToken {
  std::string content;
  bool single_word = false;  ///< only between non-word characters
  bool lstrip = false;       ///< eats the white space to its left
  bool rstrip = false;       ///< and to its right
  bool normalized = false;   ///< looked for in the normalised text instead of the raw one
  bool special = false;      ///< skipped by decode(skip_special)
};

/// Text between added tokens (no id), or one of them.
struct Section {
  std::string_view text;
  std::optional<TokenId> id;
};

/// Finds added tokens in a text: leftmost first, the longest of several at one place.
class AddedTokenFinder {
 public:
  /// @param pattern the text to look for: the content, or the normalised content.
  void add(std::string pattern, TokenId id, AddedToken token);
  bool empty() const { return entries_.empty(); }
  /// Parts of `text`, in order; none of them empty.
  std::vector<Section> split(std::string_view text) const;

 private:
  struct Entry {
    TokenId id;
    AddedToken token;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  const Entries::value_type* match(std::string_view text, std::size_t at) const;

  Entries entries_;  // by pattern: vocabularies have tens of thousands of added tokens
  std::array<std::vector<std::size_t>, 256> lengths_by_first_byte_;  // of the patterns that begin so, longest first
};

}  // namespace herd
