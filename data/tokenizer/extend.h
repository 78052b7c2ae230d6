#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A SentencePiece vocabulary with the new pieces of a second one behind it, as Chinese-LLaMA and BELLE-LLaMA-EXT made theirs.
struct ExtendedVocabulary {
  std::string model;            ///< the new tokenizer.model, all of its bytes
  std::int64_t old_pieces = 0;  ///< ids below keep their meaning
  /// The new pieces, in the order of their ids from `old_pieces` on, and each one's ids under the old vocabulary (never none): the rows of
  /// embedding and head begin as the mean of these rows.
  std::vector<std::string> pieces;
  std::vector<std::vector<TokenId>> old_ids;
};

/// Pieces of `extension` that are text and that the tokenizer.model of `folder` lacks, in their order, with score 0.
/// @throws DataError where `folder` holds no SentencePiece model, has added tokens behind its pieces (their ids would shift), or where `extension`
/// is no SentencePiece model or brings nothing new.
ExtendedVocabulary extend_vocabulary(const std::filesystem::path& folder, const std::filesystem::path& extension);

/// A folder that load_tokenizer and transformers (LlamaTokenizer) load: the new model, and the configuration files of `folder`.
/// Its tokenizer.json is left out, as it holds the old vocabulary.
void save_extended(const ExtendedVocabulary& vocabulary, const std::filesystem::path& folder, const std::filesystem::path& target);

}  // namespace herd
