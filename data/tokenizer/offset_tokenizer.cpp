#include "data/tokenizer/offset_tokenizer.h"

#include <fmt/format.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

namespace herd {
namespace {

class OffsetTokenizer final : public Tokenizer {
 public:
  OffsetTokenizer(std::unique_ptr<Tokenizer> inner, TokenId offset) : inner_(std::move(inner)), offset_(offset) {
    const auto shifted = [&](std::optional<TokenId> id) { return id ? std::optional(*id + offset_) : std::nullopt; };
    bos = shifted(inner_->bos);
    eos = shifted(inner_->eos);
    pad = shifted(inner_->pad);
    unk = shifted(inner_->unk);
    for (const auto id : inner_->turn_ends) turn_ends.push_back(id + offset_);
    padding_side = inner_->padding_side;
    fingerprint = herd::fingerprint(fmt::format("{} after {}", inner_->fingerprint, offset));
  }

  std::vector<TokenId> encode(std::string_view text, bool add_special) const override {
    auto ids = inner_->encode(text, add_special);
    for (auto& id : ids) id += offset_;
    return ids;
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::vector<TokenId> pieces;
    for (const auto id : ids) {
      if (id < 0) throw DataError({.who = "decode", .found = fmt::format("the id {}", id), .expected = "ids from 0", .remedy = {}});
      if (id >= offset_) pieces.push_back(id - offset_);
    }
    return inner_->decode(pieces, skip_special);
  }

  std::int64_t vocab_size() const override { return inner_->vocab_size() + offset_; }

  std::optional<TokenId> token_to_id(std::string_view token) const override {
    const auto id = inner_->token_to_id(token);
    return id ? std::optional(*id + offset_) : std::nullopt;
  }

  std::string id_to_token(TokenId id) const override {
    return id >= 0 && id < offset_ ? fmt::format("<image_{}>", id) : inner_->id_to_token(id - offset_);
  }

  TokenRole role(TokenId id) const override { return id >= 0 && id < offset_ ? TokenRole::kNone : inner_->role(id - offset_); }

 private:
  std::unique_ptr<Tokenizer> inner_;
  TokenId offset_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_offset_tokenizer(std::unique_ptr<Tokenizer> inner, TokenId offset) {
  return std::make_unique<OffsetTokenizer>(std::move(inner), offset);
}

}  // namespace herd
