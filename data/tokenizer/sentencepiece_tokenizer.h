#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizer/settings.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A SentencePiece `tokenizer.model` (Kudo & Richardson 2018) as transformers' LlamaTokenizer uses it: special tokens are cut out of
/// the text first, bos and eos go around it by add_bos_token and add_eos_token, `legacy` rules the blank after a special token.
/// @throws DataError where the file is not a SentencePiece model.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::filesystem::path& file, const TokenizerSettings& settings);

}  // namespace herd
