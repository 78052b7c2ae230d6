#pragma once
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/settings.h"

namespace herd {

/// What a byte-level family has around its vocabulary, as a tokenizer.json says it.
/// @param tokens size of the vocabulary: the family's appended tokens come behind it.
JsonNode::Json family_parts(const TokenizerSettings& settings, std::size_t tokens);

}  // namespace herd
