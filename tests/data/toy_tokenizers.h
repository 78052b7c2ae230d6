#pragma once
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd::test {

/// One id a byte, <s> 256, </s> 257: lengths and ids follow in closed form from the text.
class ByteTokenizer final : public Tokenizer {
 public:
  ByteTokenizer() {
    bos = 256;
    eos = 257;
    fingerprint = "bytes";
  }
  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    std::vector<TokenId> ids;
    if (add_special) ids.push_back(256);
    for (const unsigned char c : text) ids.push_back(c);
    return ids;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::string text;
    for (const auto id : ids) text += id < 256 ? std::string(1, static_cast<char>(id)) : skip_special ? "" : id_to_token(id);
    return text;
  }
  std::int64_t vocab_size() const override { return 258; }
  std::optional<TokenId> token_to_id(std::string_view) const override { return std::nullopt; }
  std::string id_to_token(TokenId id) const override { return id == 256 ? "<s>" : "</s>"; }
  TokenRole role(TokenId id) const override { return id >= 256 ? TokenRole::kSpecial : TokenRole::kText; }
};

enum class Spaces { kLead, kTrail };

/// One id a word with the space before it, or the one after it; a line end is a piece of its own. Like SentencePiece, it puts a space
/// before every text: " a" alone reads "  a", a piece too many.
class WordTokenizer final : public Tokenizer {
 public:
  explicit WordTokenizer(Spaces spaces = Spaces::kLead) : spaces_(spaces) { eos = id_of("</s>"); }
  std::vector<TokenId> encode(std::string_view text, bool) const override {
    std::vector<TokenId> ids;
    std::string piece;
    const auto end_piece = [&] {
      if (!piece.empty()) ids.push_back(id_of(piece));
      piece.clear();
    };
    for (const char c : " " + std::string(text)) {
      if (c == '\n' || (c == ' ' && spaces_ == Spaces::kLead)) end_piece();
      piece += c;
      if (c == '\n' || (c == ' ' && spaces_ == Spaces::kTrail)) end_piece();
    }
    end_piece();
    return ids;
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const auto id : ids) text += id_to_token(id);
    return text.starts_with(' ') ? text.substr(1) : text;
  }
  std::int64_t vocab_size() const override { return 1 << 20; }
  std::optional<TokenId> token_to_id(std::string_view token) const override { return id_of(std::string(token)); }
  std::string id_to_token(TokenId id) const override {
    for (const auto& [piece, known] : ids_)
      if (known == id) return piece;
    return "";
  }

 private:
  TokenId id_of(const std::string& piece) const {
    const std::lock_guard lock(mutex_);
    return ids_.emplace(piece, static_cast<TokenId>(ids_.size())).first->second;
  }
  Spaces spaces_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, TokenId> ids_;
};

}  // namespace herd::test
