#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "data/tokenizer/extend.h"
#include "models/model_options.h"

namespace herd {

/// A tokenizer's folder, what reads it, and what a second SentencePiece model adds to it (model.extend_vocab).
struct RunVocabulary {
  std::filesystem::path folder;
  std::unique_ptr<Tokenizer> tokenizer;  ///< with the new pieces
  std::optional<ExtendedVocabulary> extension;
  std::string extended_by;  ///< the second model's file; empty: none

  /// "32,000 pieces and 17,953 new ones of FILE, …"; "" where nothing is added.
  std::string summary() const;
};

/// @param extension the second model; empty: none. @throws DataError as load_tokenizer and extend_vocabulary do.
RunVocabulary load_vocabulary(const std::filesystem::path& folder, const std::string& extension);
/// What a recipe's model section says: of model.tokenizer, else of model.path.
RunVocabulary load_vocabulary(const ModelOptions& options);

/// The folder of a recipe's tokenizer; empty where it names none.
std::filesystem::path tokenizer_folder(const ModelOptions& options);

}  // namespace herd
