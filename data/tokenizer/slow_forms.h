#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Byte-level vocabularies without a tokenizer.json. What stands around them comes from the family's row (data/tokenizer/families.h).
/// @throws DataError naming file, line and what is wrong.

/// Lines of "base64 rank" (OpenAI's tiktoken): a pair of tokens merges where its bytes are a token, the lowest rank first, and a word
/// that is a token as a whole is that token.
std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(const std::filesystem::path& file);

/// vocab.json (token to id) and merges.txt (a merge a line, best first).
std::unique_ptr<Tokenizer> make_vocab_merges_tokenizer(const std::filesystem::path& vocabulary, const std::filesystem::path& merges);

/// The file begins as tiktoken's do: SentencePiece's models, of the same name, begin with a byte that base64 has not.
bool is_tiktoken_file(const std::filesystem::path& file);

}  // namespace herd
