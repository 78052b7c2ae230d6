#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizer/settings.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A SentencePiece `tokenizer.model` (Kudo & Richardson 2018) as transformers' LlamaTokenizer uses it: special tokens are cut out of
/// the text first, bos and eos go around it by add_bos_token and add_eos_token, `legacy` rules the blank after a special token.
/// @param file what errors call it. @param bytes of the model. @throws DataError where they are no SentencePiece model.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& file, std::string_view bytes, const TokenizerSettings& settings);

}  // namespace herd
