#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "tests/support/toy_model.h"

namespace herd::test {

/// A letter an id: `!` is 0.
class Letters final : public Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, bool) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(c - '!');
    return ids;
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const auto id : ids) text += static_cast<char>('!' + id);
    return text;
  }
  std::int64_t vocab_size() const override { return kToyVocab; }
  std::optional<TokenId> token_to_id(std::string_view token) const override { return token[0] - '!'; }
  std::string id_to_token(TokenId id) const override { return std::string(1, static_cast<char>('!' + id)); }
};

}  // namespace herd::test
