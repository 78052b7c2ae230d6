#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace herd {

/// What a SentencePiece model file holds, as far as encoding needs it (sentencepiece_model.proto of google/sentencepiece).
struct SentencePieceModel {
  enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  enum class Algorithm { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };

  std::vector<Piece> pieces;  ///< by id
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback = false, blank_behind = false;  ///< treat_whitespace_as_suffix
  bool rewrites = false;                             ///< the normaliser has a character map
  bool add_dummy_prefix = true, remove_extra_blanks = true, escape_blanks = true;
};

/// nullopt where `bytes` are no such message. What SentencePiece itself makes of a model is for it to say.
std::optional<SentencePieceModel> parse_sentencepiece(std::string_view bytes);

/// A piece as bytes of the file: behind a model they add it, as the format merges what is appended.
std::string piece_message(const SentencePieceModel::Piece& piece);

}  // namespace herd
