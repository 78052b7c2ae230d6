#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/word_scanner.h"

namespace herd {

/// A word on its way to the model. `first`: it stands at the very start of the text.
struct Word {
  std::string text;
  bool first = false;
};

/// Splits and rewrites words in place. Thread-safe.
using PreTokenizer = std::function<void(std::vector<Word>&)>;

/// `pre_tokenizer` of a tokenizer.json; null leaves the text whole.
/// @param add_prefix_space stands in for the file's own where the top level has that key, as in transformers.
PreTokenizer make_pre_tokenizer(const JsonNode& node, std::optional<bool> add_prefix_space = {});

/// Where the pre-tokenizer does no more than to split by a pattern that has a scanner and to map bytes: that scanner, whose words are bytes
/// of the text as it stands. nullptr else.
WordScanner byte_word_scanner(const JsonNode& node, std::optional<bool> add_prefix_space = {});

/// The printable character that stands for each byte in ByteLevel vocabularies, as UTF-8 (Radford et al. 2019, GPT-2's bytes_to_unicode).
const std::array<std::string, 256>& byte_characters();

}  // namespace herd
