#include <algorithm>
#include <array>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/json_tokenizer.h"
#include "data/tokenizer/sentencepiece_tokenizer.h"
#include "data/tokenizer/slow_forms.h"
#include "data/tokenizer/tokenizer.h"
#include "runtime/base/error.h"

namespace herd {
namespace {

namespace fs = std::filesystem;

constexpr std::array kNames{"tokenizer.json",    "tokenizer.model", "ice_text.model", "tokenizer_config.json", "special_tokens_map.json",
                            "added_tokens.json", "vocab.json",      "merges.txt",     "chat_template.jinja", "chat_template.json"};

// Files named *.tiktoken; Qwen's is qwen.tiktoken.
std::vector<fs::path> tiktoken_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".tiktoken") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

namespace {

std::unique_ptr<Tokenizer> load(const fs::path& folder) {
  const auto json = folder / "tokenizer.json", model = folder / "tokenizer.model", ice_text = folder / "ice_text.model",
             vocabulary = folder / "vocab.json", merges = folder / "merges.txt";
  if (fs::exists(json)) return make_json_tokenizer(json, read_tokenizer_settings(folder, TokenizerForm::kJson));
  if (fs::exists(model) && is_tiktoken_file(model)) return make_tiktoken_tokenizer(model);
  const auto sentencepiece = [&](const fs::path& file, TokenizerForm form) {
    return make_sentencepiece_tokenizer(file.string(), read_text_file(file), read_tokenizer_settings(folder, form));
  };
  if (fs::exists(model)) return sentencepiece(model, TokenizerForm::kSentencePiece);
  if (fs::exists(ice_text)) return sentencepiece(ice_text, TokenizerForm::kIceText);
  if (const auto files = tiktoken_files(folder); !files.empty()) return make_tiktoken_tokenizer(files[0]);
  if (fs::exists(vocabulary) && fs::exists(merges)) return make_vocab_merges_tokenizer(vocabulary, merges);
  throw DataError({.who = folder.string(),
                   .found = fs::is_directory(folder) ? "no tokenizer in this folder" : "no such folder",
                   .expected = "tokenizer.json (Hugging Face), tokenizer.model (SentencePiece or tiktoken), ice_text.model (ChatGLM), "
                               "a .tiktoken file (Qwen), or vocab.json and merges.txt",
                   .remedy = "copy the model's tokenizer files beside its weights, or name their folder"});
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder) {
  auto tokenizer = load(folder);
  tokenizer->folder = folder;
  return tokenizer;
}

std::vector<fs::path> tokenizer_files(const fs::path& folder) {
  auto files = tiktoken_files(folder);
  for (const auto* name : kNames)
    if (fs::exists(folder / name)) files.push_back(folder / name);
  return files;
}

bool is_tokenizer_file(const std::string& name) {
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || (name.ends_with(".tiktoken") && name.find('/') == std::string::npos);
}

}  // namespace herd
