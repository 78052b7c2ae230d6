#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/render.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/tokenizer.h"

namespace herd {

/// Ids [begin, end) that come from pieces alike.
struct TokenSpan {
  std::size_t begin = 0, end = 0;
  bool written = false;    ///< by the model
  std::int32_t turn = -1;  ///< of the record, where written
};

struct EncodedPieces {
  std::vector<TokenId> ids;
  std::vector<TokenSpan> spans;  ///< in order, without gaps
};

/// Pieces to ids. A token never reaches across the edge of a turn that the model writes: what stands before it is encoded as generation will see it,
/// and the turn as the model can write it from there (docs/decisions/prompt-boundary.md). Special tokens are read in the template's own
/// words alone: a record that holds `</s>` or `<|im_end|>` as text keeps it as text. Thread-safe.
class PieceEncoder {
 public:
  /// The tokenizer must outlive the encoder.
  explicit PieceEncoder(const Tokenizer& tokenizer);

  /// @param special whether the tokenizer's own special tokens stand around the first stretch (LLaMA: bos in front; ChatGLM-6B: [gMASK] <sop> behind).
  /// @throws DataError for a piece `is_eos` under a tokenizer that has none.
  EncodedPieces operator()(std::span<const TextPiece> pieces, bool special) const;
  /// Ids of a text as it stands in the middle of another: without the space that SentencePiece puts before every text.
  std::vector<TokenId> within(std::string_view text) const;

 private:
  struct Anchor {
    std::string text;
    std::vector<TokenId> ids;
  };
  std::vector<TokenId> first(std::string_view text, bool special) const { return tokenizer_.encode(text, special); }
  std::vector<TokenId> after(TokenId special, std::string_view text) const;
  /// Where a text must be cut so that no special token is read out of a record's words.
  std::vector<std::size_t> cuts(std::string_view text, std::span<const TextPiece> pieces) const;

  const Tokenizer& tokenizer_;
  AddedTokenFinder specials_;
  std::vector<Anchor> anchors_;
};

}  // namespace herd
