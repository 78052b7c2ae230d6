#pragma once
#include <list>
#include <optional>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "runtime/nn/causal_lm.h"

namespace herd {

/// Makes and grows the keys and values of texts, and keeps those of texts that have ended: a later prompt that begins in the same way, as the next turn of a
/// chat does, goes on from them.
class KvTexts {
 public:
  /// @param dtype of the model's activations. @param kept how many texts that have ended are kept. @param int8 whether in eight bits (KvSlab).
  KvTexts(const CausalLm& model, at::ScalarType dtype, at::Device device, std::size_t kept, bool int8 = false);

  /// A text with room for a prompt of the adapter in place: with what it shares with a kept one, at most all tokens but the last, or empty.
  KvText begin(const std::vector<TokenId>& prompt, std::optional<std::size_t> adapter);
  /// Room for `tokens` of the text's own, grown in chunks, so that a token costs no copy of what is there.
  void reserve(KvText& text, std::int64_t tokens) const;
  /// @param ids the tokens that it holds.
  void end(KvText text, std::vector<TokenId> ids, std::optional<std::size_t> adapter);
  /// A copy of its own.
  KvText copy(const KvText& text) const;

  /// Tokens of the text's own that it holds, without virtual ones.
  std::int64_t tokens(const KvText& text) const;
  std::size_t kept() const { return ended_.size(); }

 private:
  /// A copy of a text's first tokens, with room for more.
  KvText beginning(const KvText& whole, std::int64_t tokens, std::int64_t room) const;

  struct Ended {
    KvText text;
    std::vector<TokenId> ids;
    std::optional<std::size_t> adapter;
  };
  std::int64_t side() const { return model_.side ? model_.side->length() : 0; }
  std::int64_t virtual_tokens() const { return model_.has_virtual_tokens() ? side() : 0; }

  const CausalLm& model_;
  at::ScalarType dtype_;
  at::Device device_;
  std::size_t most_;
  bool int8_;
  std::list<Ended> ended_;  // the newest first
};

}  // namespace herd
