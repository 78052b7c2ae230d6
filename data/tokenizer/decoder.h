#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/json_node.h"

namespace herd {

/// Rewrites the tokens of a sequence into pieces of text, which are then joined. Thread-safe.
using Decoder = std::function<void(std::vector<std::string>&)>;

/// `decoder` of a tokenizer.json; null joins the tokens by spaces, as there.
Decoder make_decoder(const JsonNode& node);

/// Whether `node` turns `<0xNN>` tokens into bytes, anywhere inside it.
bool has_byte_fallback(const JsonNode& node);

/// The byte of a `<0xNN>` token, or −1.
int byte_of_token(std::string_view token);

}  // namespace herd
