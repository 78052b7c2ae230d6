#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/sentencepiece_model.h"

namespace herd {

/// SentencePiece's byte-pair algorithm (Kudo & Richardson 2018) over a model's pieces, to the library's ids at several times its speed.
class SentencePieceBpe {
 public:
  /// nullptr for a model that only the library encodes: another algorithm, a normaliser that rewrites characters, pieces with a
  /// character that is no piece itself.
  static std::unique_ptr<SentencePieceBpe> make(const SentencePieceModel& model, bool add_dummy_prefix);

  /// Appends the ids of `text`, which is UTF-8.
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

 private:
  SentencePieceBpe(BpeModel model, bool add_dummy_prefix) : bpe_(std::move(model)), add_dummy_prefix_(add_dummy_prefix) {}

  Bpe bpe_;
  AddedTokenFinder user_defined_;  // pieces taken as they stand, before any merging
  bool add_dummy_prefix_;
};

}  // namespace herd
