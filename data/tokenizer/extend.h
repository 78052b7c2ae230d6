#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace herd {

/// A SentencePiece vocabulary with the new pieces of a second one behind it, as Chinese-LLaMA and BELLE-LLaMA-EXT made theirs.
struct ExtendedVocabulary {
  std::string model;                ///< the new tokenizer.model, all of its bytes
  std::int64_t old_pieces = 0;      ///< ids below keep their meaning
  std::int64_t old_tokens = 0;      ///< the old vocabulary, with the tokens that its class has behind the pieces (ChatGLM2's)
  std::vector<std::string> pieces;  ///< the new ones, in the order of their ids from `old_pieces` on
  /// For each id from `old_pieces` on, the old ids whose rows' mean its row of embedding and head begins as (never none): a new piece's are
  /// those that the old vocabulary splits it into; then the tokens behind the pieces follow, which have moved, each with its one old id.
  std::vector<std::vector<TokenId>> old_ids;
  /// New pieces that no text becomes: the merges of a byte-pair model do not lead to every piece of a unigram one, and the first model's
  /// character map may rewrite others.
  std::int64_t unreached = 0;
};

/// Pieces of `extension` that are text and that the tokenizer.model of `folder` lacks, in their order, with score 0.
/// @throws DataError where `folder` holds no SentencePiece model or has added tokens behind its pieces (their ids would shift), or where
/// `extension` is no SentencePiece model, brings nothing new, writes blanks otherwise or brings user-defined pieces.
ExtendedVocabulary extend_vocabulary(const std::filesystem::path& folder, const std::filesystem::path& extension);

/// The tokenizer of the extended vocabulary, with the settings that stand in `folder`: what load_tokenizer makes of save_extended's folder.
std::unique_ptr<Tokenizer> make_extended_tokenizer(const ExtendedVocabulary& vocabulary, const std::filesystem::path& folder);

/// Writes what load_tokenizer and transformers (LlamaTokenizer) load into the folder `target`, which is there: the new model, and the
/// configuration files of `folder`. Its tokenizer.json is left out, as it holds the old vocabulary. @throws IoError.
void save_extended(const ExtendedVocabulary& vocabulary, const std::filesystem::path& folder, const std::filesystem::path& target);

}  // namespace herd
