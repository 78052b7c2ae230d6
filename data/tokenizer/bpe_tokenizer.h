#pragma once
#include <memory>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/settings.h"

namespace herd {

/// A byte-pair vocabulary with what stands around it.
/// @param parts a tokenizer.json, of which normalizer, pre_tokenizer, post_processor, decoder and added_tokens are read, not the model.
/// @param file_bytes what the vocabulary was read from, for the fingerprint.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(BpeModel model, const JsonNode& parts, const TokenizerSettings& settings,
                                              std::string_view file_bytes);

}  // namespace herd
