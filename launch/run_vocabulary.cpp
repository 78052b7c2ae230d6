#include "launch/run_vocabulary.h"

#include <fmt/format.h>

#include "runtime/base/text.h"

namespace herd {

std::string RunVocabulary::summary() const {
  if (!extension) return {};
  auto text = fmt::format("{} pieces and {} new ones of {}", with_thousands(extension->old_pieces),
                          with_thousands(static_cast<std::int64_t>(extension->pieces.size())), extended_by);
  if (extension->unreached > 0) text += fmt::format(", {} of which no text becomes", with_thousands(extension->unreached));
  return text;
}

std::filesystem::path tokenizer_folder(const ModelOptions& options) { return options.tokenizer.empty() ? options.path : options.tokenizer; }

RunVocabulary load_vocabulary(const std::filesystem::path& folder, const std::string& extension) {
  RunVocabulary vocabulary{.folder = folder, .tokenizer = nullptr, .extension = {}, .extended_by = extension};
  if (extension.empty()) {
    vocabulary.tokenizer = load_tokenizer(folder);
  } else {
    vocabulary.extension = extend_vocabulary(folder, extension);
    vocabulary.tokenizer = make_extended_tokenizer(*vocabulary.extension, folder);
    vocabulary.tokenizer->folder = folder;
  }
  return vocabulary;
}

RunVocabulary load_vocabulary(const ModelOptions& options) { return load_vocabulary(tokenizer_folder(options), options.extend_vocab); }

}  // namespace herd
