#include <array>

#include "data/tokenizer/json_tokenizer.h"
#include "data/tokenizer/sentencepiece_tokenizer.h"
#include "data/tokenizer/tokenizer.h"
#include "runtime/base/error.h"

namespace herd {

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  const auto json = folder / "tokenizer.json", model = folder / "tokenizer.model";
  if (std::filesystem::exists(json)) return make_json_tokenizer(json, read_tokenizer_settings(folder));
  if (std::filesystem::exists(model)) return make_sentencepiece_tokenizer(model, read_tokenizer_settings(folder));
  throw DataError({.who = folder.string(),
                   .found = std::filesystem::is_directory(folder) ? "no tokenizer in this folder" : "no such folder",
                   .expected = "tokenizer.json (Hugging Face) or tokenizer.model (SentencePiece)",
                   .remedy = "copy the model's tokenizer files beside its weights, or name their folder"});
}

std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder) {
  constexpr std::array kNames{"tokenizer.json",        "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                              "added_tokens.json", "vocab.json",      "merges.txt",            "chat_template.jinja"};
  std::vector<std::filesystem::path> files;
  for (const auto* name : kNames)
    if (std::filesystem::exists(folder / name)) files.push_back(folder / name);
  return files;
}

}  // namespace herd
