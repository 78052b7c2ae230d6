#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizer/settings.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A `tokenizer.json` of Hugging Face tokenizers with a BPE model, in its ByteLevel and its SentencePiece form.
/// @throws DataError naming the file, the place in it, and what is supported.
std::unique_ptr<Tokenizer> make_json_tokenizer(const std::filesystem::path& file, const TokenizerSettings& settings);

}  // namespace herd
