#pragma once
#include <memory>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A tokenizer whose ids come behind `offset` others, that stand for no text: ChatGLM-6B's image tokens, <image_0> and so on.
std::unique_ptr<Tokenizer> make_offset_tokenizer(std::unique_ptr<Tokenizer> inner, TokenId offset);

}  // namespace herd
